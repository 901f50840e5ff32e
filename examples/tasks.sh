#!/usr/bin/env bash
# Installs what is missing, builds, composes scenes, pretrains ALBEF on them for a short while, then
# fine-tunes and evaluates it on each downstream task of the paper. Everything goes to tasks/.
# Usage: bash examples/tasks.sh
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

case "${1:-}" in
  "") ;;
  -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
  *) echo "tasks.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
esac

bash cmake/install_dependencies.sh examples
if command -v ccache >/dev/null; then
  export CMAKE_CXX_COMPILER_LAUNCHER=ccache
fi

build=build/tasks
out=tasks
mkdir -p "$build" "$out"
echo "Building (some minutes; details in $build/build.log)"
if ! {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DALBEF_BUILD_TESTS=OFF -DALBEF_BUILD_BENCHMARKS=OFF -DALBEF_EXAMPLE_CONFIGS=tiny96 &&
    cmake --build "$build" --parallel "$(bash cmake/jobs.sh)" --target make_scenes \
      albef_pretrain albef_retrieval albef_vqa albef_nlvr albef_ve albef_ground
} >"$build/build.log" 2>&1; then
  tail -n 40 "$build/build.log" >&2
  echo "The build failed; see $build/build.log" >&2
  exit 1
fi
bin=$build/examples

step() { printf '\n== %s\n' "$*"; }

step "scenes: 12 objects in one style, $out/scenes"
scenes=$out/scenes
"$bin/make_scenes" --easy --scenes 3000 --val 200 --test 400 --output "$scenes"

# Whole pictures, since captions speak of objects at the edge, and many masked words, since captions
# are short.
step "pre-training, $out/pretrain"
"$bin/albef_pretrain" --config tiny96 --data "$scenes/train.tar" --output "$out/pretrain" --overwrite \
  --epochs 14 --crop 0.9 1 --mask-probability 0.4
init=$out/pretrain/checkpoint.safetensors

# After so short a pre-training, with the learning rate of a new model.
step "retrieval, $out/retrieval"
"$bin/albef_retrieval" train --init "$init" --data "$scenes/retrieval_train.json" \
  --image-root "$scenes/train.tar" --output "$out/retrieval" --overwrite --epochs 1 --batch-size 64 \
  --crop 0.9 1 --lr 5e-4
"$bin/albef_retrieval" evaluate -m "$out/retrieval/checkpoint.safetensors" \
  --data "$scenes/retrieval_test.json" --image-root "$scenes/test.tar" --similarity-weight 33 \
  --output "$out/retrieval/test.json" --sheet "$out/retrieval.png"

step "visual question answering, $out/vqa"
"$bin/albef_vqa" train --init "$init" --data "$scenes/vqa_train.json" \
  --image-root "$scenes/train.tar" --output "$out/vqa" --overwrite --epochs 3 --by-picture \
  --batch-size 128 --warmup 50
"$bin/albef_vqa" evaluate -m "$out/vqa/checkpoint.safetensors" --data "$scenes/vqa_test.json" \
  --answers "$scenes/answer_list.json" --image-root "$scenes/test.tar" \
  --output "$out/vqa/test.json" --sheet "$out/vqa.png"

step "visual entailment, $out/ve"
"$bin/albef_ve" train --init "$init" --data "$scenes/ve_train.json" \
  --image-root "$scenes/train.tar" --output "$out/ve" --overwrite --epochs 3 --by-picture --batch-size 96 \
  --warmup 50
"$bin/albef_ve" evaluate -m "$out/ve/checkpoint.safetensors" --data "$scenes/ve_test.json" \
  --image-root "$scenes/test.tar" --output "$out/ve/test.json" --sheet "$out/ve.png"

step "reasoning on pairs of pictures, $out/nlvr"
"$bin/albef_nlvr" train --init "$init" --data "$scenes/nlvr_train.json" \
  --image-root "$scenes/train.tar" --output "$out/nlvr" --overwrite --epochs 3 --by-picture --warmup 50
"$bin/albef_nlvr" evaluate -m "$out/nlvr/checkpoint.safetensors" --data "$scenes/nlvr_test.json" \
  --image-root "$scenes/test.tar" --output "$out/nlvr/test.json" --sheet "$out/nlvr.png"

step "grounding, $out/ground"
"$bin/albef_ground" train --init "$init" --data "$scenes/grounding_train.json" \
  --image-root "$scenes/train.tar" --output "$out/ground" --overwrite --epochs 1 --batch-size 64
"$bin/albef_ground" evaluate -m "$out/ground/checkpoint.safetensors" \
  --data "$scenes/grounding_test.json" --image-root "$scenes/test.tar" \
  --refs "$scenes/refs.json" --instances "$scenes/instances.json" \
  --detections "$scenes/dets.json" --output "$out/ground/test.json" --sheet "$out/boxes.png" \
  --heat-maps "$out/heat_maps.png"

# The first number called KEY in a JSON file, behind the first line that names AFTER: [FACTOR x] it.
number() {
  awk -v key="\"$2\":" -v after="\"${3:-}\"" -v factor="${4:-1}" '
    after == "\"\"" || index($0, after) { seen = 1 }
    seen && (at = index($0, key)) {
      value = substr($0, at + length(key)); sub(/,.*/, "", value)
      printf "%.1f", factor * value; exit
    }' "$out/$1/test.json"
}

step "results on scenes never seen, per cent"
row() { printf '%-48s %6s   %s\n' "$1" "$2" "$3"; }
row "task" "" "pictures in $out/"
row "retrieval: right scene of 400 first (IR@1)" "$(number retrieval ir1 itm)" retrieval.png
row "visual question answering" "$(number vqa accuracy "" 100)" vqa.png
row "visual entailment (of three)" "$(number ve accuracy "" 100)" ve.png
row "statements about two scenes (of two)" "$(number nlvr accuracy "" 100)" nlvr.png
row "grounding: pointing into the object" "$(number ground pointing_accuracy "" 100)" heat_maps.png
row "grounding: the right box" "$(number ground box_accuracy "" 100)" boxes.png
echo "took $((SECONDS / 60)) min $((SECONDS % 60)) s"
