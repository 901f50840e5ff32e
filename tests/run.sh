#!/usr/bin/env bash
# Installs what is missing, builds everything with warnings as errors, runs all tests, compiles the
# CUDA backend where nvcc is found, then runs the tests of memory and threads again under sanitizers.
# Usage: bash tests/run.sh [--quick | --full] [--style] [--jobs N]
#   --quick   leave the sanitizers out
#   --full    models, tasks, train and viz under AddressSanitizer, too, and a minute of fuzzing for
#             each reader where clang++ is found: half an hour more
#   --style   also check formatting (clang-format) and compile the headers with clang++
#   --jobs N  compile jobs and tests at a time (default: what cores and memory allow)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

sanitize=yes
full=no
style=OFF
jobs=
while [ $# -gt 0 ]; do
  case "$1" in
    --quick) sanitize=no ;;
    --full) full=yes ;;
    --style) style=ON ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "tests/run.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
  esac
  shift
done

# Areas run again under each sanitizer: what handles memory and files, what shares data between
# threads. (All tests: cmake --preset asan && cmake --build --preset asan && ctest --preset asan)
asan_areas=(core cpu ops text data checkpoint)
[ "$full" = no ] || asan_areas+=(models tasks train viz)
tsan_areas=(cpu data)

bash cmake/install_dependencies.sh all
[ -n "$jobs" ] || jobs=$(bash cmake/jobs.sh)
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

passed=0
failed=0
skipped=0
begin=$SECONDS

# Builds a preset (further arguments: targets) and stops with the errors if that fails.
build() {
  local preset=$1 log
  shift
  log="build/$preset/build.log"
  echo "== $preset: building with $jobs job(s)"
  if ! cmake --build "build/$preset" --parallel "$jobs" --target "$@" >"$log" 2>&1; then
    grep -v '^\[[0-9]*/[0-9]*\]' "$log" | tail -n 100 >&2 || true
    echo "The build of preset '$preset' failed; see $log" >&2
    echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
    exit 1
  fi
}

configure() {
  local preset=$1 log
  shift
  mkdir -p "build/$preset"
  log="build/$preset/configure.log"
  if ! cmake --preset "$preset" "$@" >"$log" 2>&1; then
    cat "$log" >&2
    echo "$passed passed, $((failed + 1)) failed, $skipped skipped"
    exit 1
  fi
}

# Runs the tests of a preset (further arguments go to ctest) and adds them to the totals.
run_tests() {
  local preset=$1 log summary bad all left_out
  shift
  log="build/$preset/ctest.log"
  ctest --test-dir "build/$preset" --output-on-failure --no-tests=error --parallel "$jobs" "$@" |
    tee "$log" || true
  summary=$(grep -E 'tests failed out of [0-9]+' "$log" || true)
  if [ -z "$summary" ]; then
    failed=$((failed + 1))
    return
  fi
  bad=$(sed -E 's/.* ([0-9]+) tests failed out of ([0-9]+).*/\1/' <<<"$summary")
  all=$(sed -E 's/.* ([0-9]+) tests failed out of ([0-9]+).*/\2/' <<<"$summary")
  left_out=$(grep -c '[*]*Skipped  *[0-9.]* sec' "$log" || true)
  passed=$((passed + all - bad - left_out))
  failed=$((failed + bad))
  skipped=$((skipped + left_out))
}

# Builds and runs the unit tests of the areas given under a sanitizer preset.
run_areas() {
  local preset=$1 area targets=() names=
  shift
  for area in "$@"; do
    compgen -G "tests/$area/*_test.cpp" >/dev/null || continue
    targets+=("test_$area")
    names+="${names:+|}$area"
  done
  [ ${#targets[@]} -gt 0 ] || return 0
  configure "$preset"
  build "$preset" "${targets[@]}"
  run_tests "$preset" --tests-regex "^($names)\$"
}

configure ci "-DALBEF_CHECK_STYLE=$style"
build ci all all_verify_interface_header_sets
echo "== ci: built after $((SECONDS - begin)) s"
run_tests ci
# The CUDA backend: the library for all GPUs, tests and programs, and what of them runs without one.
if command -v nvcc >/dev/null || [ -x /usr/local/cuda/bin/nvcc ]; then
  command -v nvcc >/dev/null || PATH=$PATH:/usr/local/cuda/bin
  if [ -n "${CMAKE_CXX_COMPILER_LAUNCHER:-}" ]; then
    export CMAKE_CUDA_COMPILER_LAUNCHER=$CMAKE_CXX_COMPILER_LAUNCHER
  fi
  configure cuda-compile-only
  # All programs that use a device.
  mapfile -t programs < <(basename -s .cpp examples/*.cpp)
  build cuda-compile-only albef_cuda_compiled test_gpu golden_check_gpu "${programs[@]}"
  run_tests cuda-compile-only --tests-regex '^(gpu|package/cuda(_installed)?)$'
else
  echo "== no nvcc: the CUDA backend is left out"
fi
if [ "$sanitize" = yes ]; then
  # Leaks are errors too; a race stops the program.
  export UBSAN_OPTIONS=print_stacktrace=1 TSAN_OPTIONS=halt_on_error=1
  run_areas asan "${asan_areas[@]}"
  run_areas tsan "${tsan_areas[@]}"
fi
if [ "$full" = yes ]; then
  if command -v clang++ >/dev/null; then
    echo "== fuzz: a minute for each reader"
    if bash tests/fuzz/run.sh --jobs $((2 * jobs)); then # a minute of half a core, in half the time
      passed=$((passed + 1))
    else
      failed=$((failed + 1))
    fi
  else
    echo "== no clang++: fuzzing is left out"
    skipped=$((skipped + 1))
  fi
fi

if [ "$full" = yes ]; then
  echo "== other compilers, libraries, flags and processors"
  if bash tests/portability.sh; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
fi

echo
echo "golden_check: $root/build/ci/tests/golden_check"
echo "took $((SECONDS - begin)) s"
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
