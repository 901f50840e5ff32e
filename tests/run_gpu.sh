#!/usr/bin/env bash
# Builds the CUDA backend and runs its tests on this machine's GPU: every primitive against the CPU
# in double precision, gradient checks, training steps, graph replay, the golden cases that run a
# model, then the primitives again at small size under compute-sanitizer.
# Needs the CUDA toolkit, CMake, ninja, g++ and, in a folder, the headers of doctest, nlohmann-json
# and CLI11 (default: the system's).
# Usage: bash tests/run_gpu.sh [--dependencies FOLDER] [--no-sanitizer] [--jobs N] [--bench]
#   --no-sanitizer  leave compute-sanitizer out
#   --bench         also time the primitives and whole steps
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

dependencies=
sanitize=yes
bench=
jobs=
while [ $# -gt 0 ]; do
  case "$1" in
    --dependencies) dependencies=$(cd "${2:?--dependencies needs a folder}" && pwd) && shift ;;
    --no-sanitizer) sanitize= ;;
    --bench) bench=yes ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "run_gpu.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
  esac
  shift
done
[ -n "$jobs" ] || jobs=$(bash cmake/jobs.sh)
if ! command -v nvcc >/dev/null && [ -x /usr/local/cuda/bin/nvcc ]; then
  PATH=$PATH:/usr/local/cuda/bin
fi
if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L | grep -q GPU; then
  echo "run_gpu.sh: nvidia-smi finds no GPU on this machine" >&2
  exit 1
fi
nvidia-smi -L

build=build/gpu
mkdir -p "$build"
echo "== building with $jobs job(s)"
if ! {
  cmake -S tests/cuda/gpu -B "$build" -G Ninja ${dependencies:+"-DALBEF_DEPENDENCIES=$dependencies"} &&
    cmake --build "$build" --parallel "$jobs"
} >"$build/build.log" 2>&1; then
  tail -n 60 "$build/build.log" >&2
  echo "The build failed; see $build/build.log" >&2
  echo "0 passed, 1 failed"
  exit 1
fi

passed=0
failed=0
# Runs a command, shows the end of its output if it fails, and counts.
check() {
  local name=$1 log
  shift
  log="$build/${name//[^A-Za-z0-9_]/_}.log"
  if "$@" >"$log" 2>&1; then
    echo "ok    $name"
    passed=$((passed + 1))
  else
    echo "FAIL  $name ($log)"
    tail -n 40 "$log"
    failed=$((failed + 1))
  fi
}

check tests "$build/test_gpu"
for case in tests/golden/*/case.json; do
  kind=$(sed -n 's/.*"kind": *"\([^"]*\)".*/\1/p' "$case" | head -n 1)
  case "$kind" in
    vit | text_encoder | fusion | mlm | pretrain_step | retrieval_eval | adamw)
      check "golden/$(basename "$(dirname "$case")")" "$build/golden_check_gpu" "$(dirname "$case")"
      ;;
  esac
done
if [ -n "$sanitize" ] && command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    check "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/test_gpu" \
      --test-case-exclude="*whole step*,*large*"
  done
fi
if [ -n "$bench" ]; then
  "$build/cuda_ops_bench"
  "$build/step_bench" --device cuda --config base --batch 64 --steps 30 --warmup 10
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
