#!/usr/bin/env bash
# Installs what is missing, builds, pretrains ALBEF on the emoji pictures of this repository and
# evaluates retrieval on pictures and names it has not seen. Everything goes to quickstart/.
# Usage: bash examples/quickstart.sh [--long]
#   --long   train for up to 40 minutes instead of 5
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

long=
while [ $# -gt 0 ]; do
  case "$1" in
    --long) long=yes ;;
    -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "quickstart.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
  esac
  shift
done
epochs=38
[ -n "$long" ] && epochs=240

bash cmake/install_dependencies.sh examples
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

build=build/quickstart
mkdir -p "$build" quickstart
echo "Building (a minute or two; details in $build/build.log)"
if ! {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DALBEF_BUILD_TESTS=OFF -DALBEF_BUILD_BENCHMARKS=OFF -DALBEF_EXAMPLE_CONFIGS=tiny &&
    cmake --build "$build" --parallel "$(bash cmake/jobs.sh)" --target albef_pretrain albef_eval
} >"$build/build.log" 2>&1; then
  tail -n 40 "$build/build.log" >&2
  echo "The build failed; see $build/build.log" >&2
  exit 1
fi

data=examples/data/emoji
"$build/examples/albef_pretrain" --data "$data/emoji-train.tar" --output quickstart --epochs "$epochs" --overwrite
# Pairs are re-ranked by matching score plus similarity over the temperature (1/0.03).
"$build/examples/albef_eval" --checkpoint quickstart/checkpoint.safetensors \
  --data "test_comp=$data/emoji-test_comp.tar" "test_gender=$data/emoji-test_gender.tar" \
  "test_novel=$data/emoji-test_novel.tar" \
  --similarity-weight 33 --summary quickstart/summary.json --output quickstart/results.json \
  --sheet quickstart/retrieval.png
echo "Results: quickstart/results.json; queries with their top five: quickstart/retrieval.png;"
echo "loss curves: quickstart/losses.png; the model: quickstart/checkpoint.safetensors"
