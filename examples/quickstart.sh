#!/usr/bin/env bash
# Installs what is missing, builds, pretrains ALBEF on the emoji pictures of this repository and
# evaluates retrieval on pictures and names it has not seen. Everything goes to quickstart/.
# Usage: bash examples/quickstart.sh [--long]
#   --long   train for up to 40 minutes instead of 5
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

preset=short
while [ $# -gt 0 ]; do
  case "$1" in
    --long) preset=long ;;
    -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "quickstart.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
  esac
  shift
done

bash cmake/install_dependencies.sh examples
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

build=build/quickstart
mkdir -p "$build" quickstart
echo "Building (a minute or two; details in $build/build.log)"
if ! {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DALBEF_BUILD_TESTS=OFF -DALBEF_BUILD_BENCHMARKS=OFF &&
    cmake --build "$build" --parallel "$(bash cmake/jobs.sh)" --target albef_pretrain albef_eval
} >"$build/build.log" 2>&1; then
  tail -n 40 "$build/build.log" >&2
  echo "The build failed; see $build/build.log" >&2
  exit 1
fi

"$build/examples/albef_pretrain" --preset "$preset" --data examples/data/emoji --out quickstart
"$build/examples/albef_eval" --checkpoint quickstart/checkpoint --data examples/data/emoji \
  --splits test_comp,test_gender,test_novel \
  --json quickstart/results.json --picture quickstart/retrieval.png
echo "Results: quickstart/results.json, pictures: quickstart/retrieval.png"
