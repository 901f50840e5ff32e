#!/usr/bin/env bash
# Seconds of CPU time and memory that g++ -O2 needs for the umbrella headers and a full trainer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
compiler=${CXX:-g++}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

measure() {
  local name=$1
  shift
  python3 - "$name" "$compiler" -std=c++20 -O2 -march=native -Iinclude -Iexamples \
    $(pkg-config --cflags cairo) -c -o "$scratch/out.o" "$@" <<'PYTHON'
import resource, subprocess, sys
subprocess.run(sys.argv[2:], check=True)
usage = resource.getrusage(resource.RUSAGE_CHILDREN)
print(f"{sys.argv[1]:28} {usage.ru_utime + usage.ru_stime:6.1f} s  {usage.ru_maxrss / 1024:6.0f} MB")
PYTHON
}

for header in albef/albef.hpp albef/cpu.hpp; do
  echo "#include \"$header\"" >"$scratch/header.cpp"
  measure "$header" "$scratch/header.cpp"
done
measure examples/albef_pretrain.cpp examples/albef_pretrain.cpp
measure examples/clip.cpp examples/clip.cpp
