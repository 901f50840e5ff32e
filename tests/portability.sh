#!/usr/bin/env bash
# Other compilers, standard libraries, flags and processors than those of tests/run.sh, as far as they
# are installed here; what is not is skipped and said. Minutes on one core.
# Usage: bash tests/portability.sh [--full]
#   --full  the compilers also build and run tests (without: they compile the headers)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
full=no
[ "${1:-}" != --full ] || full=yes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0

# check NAME COMMAND...: runs it and counts.
check() {
  local name=$1
  shift
  if "$@" >"$work/log" 2>&1; then
    echo "ok       $name"
    passed=$((passed + 1))
  else
    echo "FAILED   $name"
    grep -m 5 -E 'error|ERROR|qemu' "$work/log" | cut -c1-300 || tail -n 5 "$work/log"
    failed=$((failed + 1))
  fi
}
# has PROGRAM NAME: whether it is installed.
has() {
  command -v "$1" >/dev/null && return
  echo "skipped  $2: no $1"
  skipped=$((skipped + 1))
  return 1
}
# runs LAUNCHER COMPILER FLAG...: builds tests of kernels that need no other library and runs them.
tests=(core/memory cpu/attention cpu/device cpu/gemm cpu/primitives)
runs() {
  local launcher=$1 test
  shift
  for test in "${tests[@]}"; do
    "$@" -std=c++20 -Iinclude -Itests -w tests/main.cpp "tests/${test}_test.cpp" -pthread -o "$work/test"
    # An emulator enforces no limits of memory.
    ${launcher:+$launcher} "$work/test" ${launcher:+-tce="a thread that cannot be made*,memory that is not there*"}
  done
}

echo '#include "albef/cpu.hpp"' >"$work/headers.cpp"
for compiler in g++-12 g++-13 g++-14 g++-15 clang++-14 clang++-15 clang++-16 clang++-17 \
  clang++-18 clang++-19 clang++-20; do
  has "$compiler" "$compiler" || continue
  for standard in c++20 c++23 gnu++23; do
    # Older clang calls it so.
    name=$standard
    "$compiler" -std="$standard" -x c++ -fsyntax-only /dev/null 2>/dev/null || name=${standard/23/2b}
    check "$compiler -std=$name" "$compiler" -std="$name" -Wall -Wextra -Wpedantic -Wconversion \
      -Wshadow -Werror -Iinclude -fsyntax-only "$work/headers.cpp"
  done
  [ $full = no ] || check "$compiler, tests" runs "" "$compiler" -O1
done

# libc++, where its headers are.
if has clang++ libc++; then
  if echo '#include <version>' | clang++ -stdlib=libc++ -x c++ -fsyntax-only - 2>/dev/null; then
    check "clang++ -stdlib=libc++, headers" clang++ -std=c++20 -stdlib=libc++ -Iinclude -fsyntax-only \
      "$work/headers.cpp"
  else
    echo "skipped  libc++: no libc++-dev" && skipped=$((skipped + 1))
  fi
fi

# Flags that change what arithmetic may do.
for compiler in g++ clang++; do
  has "$compiler" "$compiler with -ffast-math" || continue
  check "$compiler -ffast-math -fno-finite-math-only" runs "" "$compiler" -O2 -ffast-math \
    -fno-finite-math-only
done

# A program for a processor with AVX2 on one without: a sentence.
if [ "$(uname -m)" = x86_64 ] && has qemu-x86_64 "an old processor"; then
  cat >"$work/old.cpp" <<'CPP'
#include "albef/cpu/device.hpp"
int main() { return albef::Cpu(1).threads() - 1; }
CPP
  g++ -std=c++20 -O2 -march=haswell -Iinclude "$work/old.cpp" -pthread -o "$work/old"
  refused() {
    ! qemu-x86_64 -cpu Nehalem "$work/old" 2>"$work/said" &&
      grep -q "built for processors with the instructions avx, which this one lacks" "$work/said"
  }
  check "an old processor" refused
fi

# Arm, emulated.
if has aarch64-linux-gnu-g++ Arm && has qemu-aarch64 Arm; then
  check "Arm" runs qemu-aarch64 aarch64-linux-gnu-g++ -O1 -static
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
