#!/usr/bin/env bash
# Installs what is missing, builds, and trains FLAVA on the pictures and texts of this repository for
# some minutes: its image encoder by DINO, its text encoder on texts alone, then everything together;
# beside it what it is compared with. Everything goes to flava/.
# Usage: bash examples/flava.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

case "${1:-}" in
  "") ;;
  -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
  *) echo "flava.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
esac

bash cmake/install_dependencies.sh examples
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

build=build/flava
out=flava
mkdir -p "$build" "$out"
echo "Building (some minutes; details in $build/build.log)"
if ! {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DALBEF_BUILD_TESTS=OFF -DALBEF_BUILD_BENCHMARKS=OFF -DALBEF_EXAMPLE_CONFIGS=tiny &&
    cmake --build "$build" --parallel "$(bash cmake/jobs.sh)" --target dino flava_pretrain \
      flava_evaluate probe clip albef_pretrain
} >"$build/build.log" 2>&1; then
  tail -n 40 "$build/build.log" >&2
  echo "The build failed; see $build/build.log" >&2
  exit 1
fi
bin=$build/examples
data=examples/data
pairs=$data/emoji/emoji-train.tar
pictures=($data/grocery/grocery-train.tar.gz "$pairs")
texts=($data/texts/texts.txt.gz "$pairs")

step() { printf '\n== %s\n' "$*"; }

step "pictures alone: DINO, $out/dino"
"$bin/dino" --data "${pictures[@]}" --output "$out/dino" --overwrite --epochs 8

step "texts alone: masked words, $out/words"
"$bin/flava_pretrain" --texts "${texts[@]}" --output "$out/words" --overwrite --epochs 3

# Everything together, from there and from nothing.
start=(--init-image "$out/dino/checkpoint.safetensors" --init-text "$out/words/checkpoint.safetensors")
flava() {
  local name=$1
  shift
  step "FLAVA, $out/$name"
  "$bin/flava_pretrain" --data "$pairs" --output "$out/$name" --overwrite "$@"
}
all=(--images "${pictures[@]}" --texts "${texts[@]}" --pair-weight 2)
flava full "${start[@]}" "${all[@]}" --epochs 20
flava contrastive "${start[@]}" --objective contrastive --epochs 20
flava new "${all[@]}" --epochs 20

# On the same pairs.
step "CLIP, $out/clip"
rm -rf "$out/clip"
"$bin/clip" --data "$pairs" --val "$data/emoji/emoji-val.tar" --output "$out/clip" --epochs 20
step "ALBEF, $out/albef"
"$bin/albef_pretrain" --data "$pairs" --output "$out/albef" --overwrite --epochs 12

step "new combinations of known parts, and photographs of groceries"
checkpoints=()
for name in full contrastive new clip albef; do
  checkpoints+=("$name=$out/$name/checkpoint.safetensors")
done
"$bin/flava_evaluate" -m "${checkpoints[@]}" --data "test_comp=$data/emoji/emoji-test_comp.tar" \
  --train $data/grocery/grocery-train.tar.gz --test $data/grocery/grocery-test.tar.gz \
  --classes $data/grocery/classes.txt --pictures "$out/pictures" --output "$out/results.json"
echo "full: both encoders by themselves, then all objectives; contrastive: of pairs the contrast alone;"
echo "new: all objectives from new encoders. Results: $out/results.json; retrieval, attention and a"
echo "map of features: $out/pictures; losses: $out/*/losses.png"
echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
