#!/usr/bin/env bash
# Seconds of CPU time and memory that g++ -O2 needs for the umbrella headers, for two programs, and
# for what the programs of this repository share and compile once.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
compiler=${CXX:-g++}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# Compiles a file; further arguments are compiler options.
measure() {
  local name=$1 file=$2
  shift 2
  python3 - "$name" "$compiler" -std=c++20 -O2 -march=native -Iinclude -Iexamples \
    $(pkg-config --cflags cairo) "$@" -c -o "$scratch/out.o" "$file" <<'PYTHON'
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{sys.argv[1]:44} {usage.ru_utime + usage.ru_stime:6.1f} s  {usage.ru_maxrss / 1024:6.0f} MB")
PYTHON
}

for header in albef/albef.hpp albef/cpu.hpp; do
  echo "#include \"$header\"" >"$scratch/header.cpp"
  measure "$header" "$scratch/header.cpp"
done

echo "headers alone:"
measure examples/clip.cpp examples/clip.cpp
cat >"$scratch/whole.cpp" <<'CPP'
#include "common/compiled.cpp"
#include "albef_pretrain.cpp"
CPP
measure "examples/albef_pretrain.cpp + compiled.cpp" "$scratch/whole.cpp"

echo "with what is compiled once:"
for program in clip albef_pretrain; do
  measure "examples/$program.cpp" "examples/$program.cpp" -DALBEF_CPU_COMPILED
done

echo "compiled once for all programs:"
measure "kernels (cmake/cpu/primitives_float.cpp)" cmake/cpu/primitives_float.cpp
measure "checkpoints, training loop (compiled.cpp)" examples/common/compiled.cpp -DALBEF_CPU_COMPILED
measure "options by CLI11 (program.cpp)" examples/common/program.cpp
