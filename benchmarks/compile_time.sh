#!/usr/bin/env bash
# Seconds of CPU time and memory that the compiler needs with -O2 for the umbrella headers, for two
# programs, with headers alone and with what the build compiles once, and for that.
# Usage: compile_time.sh
# Environment: CXX (g++). Takes 3 minutes of an idle core.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
compiler=${CXX:-g++}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
read -ra libraries <<<"$(pkg-config --cflags cairo eigen3)"
touch "$scratch/json_configs.hpp" # a build writes it: configurations from files

# Compiles a file; further arguments are compiler options.
measure() {
  local name=$1 file=$2
  shift 2
  python3 - "$name" "$compiler" -std=c++20 -O2 -march=native -Iinclude -Iexamples "-I$scratch" \
    "${libraries[@]}" "$@" -c -o "$scratch/out.o" "$file" <<'PYTHON'
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{sys.argv[1]:52} {usage.ru_utime + usage.ru_stime:6.1f} s  {usage.ru_maxrss / 1024:6.0f} MB")
PYTHON
}

for header in albef/albef.hpp albef/cpu.hpp; do
  echo "#include \"$header\"" >"$scratch/header.cpp"
  measure "$header" "$scratch/header.cpp"
done

pretrain=examples/albef_pretrain.cpp clip=examples/clip.cpp
compiled=(-DALBEF_CPU_COMPILED -DALBEF_DATA_COMPILED)
four=-DALBEF_EXAMPLE_CONFIGS=albef::Tiny,albef::Tiny96,albef::Small,albef::Base
echo "as the build compiles them:"
measure "$pretrain, four configurations" $pretrain "${compiled[@]}" $four
measure "$pretrain, tiny alone" $pretrain "${compiled[@]}" -DALBEF_EXAMPLE_CONFIGS=albef::Tiny
measure "$clip" $clip "${compiled[@]}" $four

echo "headers alone:"
measure "$pretrain, four configurations" $pretrain $four
measure "$clip" $clip $four

echo "compiled once for all programs:"
measure "kernels for float (cmake/cpu)" cmake/cpu/primitives_float.cpp "${compiled[@]}"
measure "texts, pictures, checkpoints, loop (cmake/data)" cmake/data/definitions.cpp "${compiled[@]}"
measure "options by CLI11 (program.cpp)" examples/common/program.cpp
measure "options of the programs (options.cpp)" examples/common/options.cpp "${compiled[@]}" $four
