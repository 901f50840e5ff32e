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

build=build/quickstart
out=tasks
mkdir -p "$build" "$out"
echo "Building (a few minutes; details in $build/build.log)"
if ! {
  cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release \
    -DALBEF_BUILD_TESTS=OFF -DALBEF_BUILD_BENCHMARKS=OFF &&
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

step "pre-training, $out/pretrain"
"$bin/albef_pretrain" --data "$scenes/train.tar" --output "$out/pretrain" --epochs 20
init=$out/pretrain/checkpoint.safetensors

step "retrieval, $out/retrieval"
"$bin/albef_retrieval" train --init "$init" --data "$scenes/retrieval_train.json" \
  --image-root "$scenes/train.tar" --output "$out/retrieval" --epochs 4
"$bin/albef_retrieval" evaluate -m "$out/retrieval/checkpoint.safetensors" \
  --data "$scenes/retrieval_test.json" --image-root "$scenes/test.tar" \
  --output "$out/retrieval/results.json" --sheet "$out/retrieval.png"

step "visual question answering, $out/vqa"
"$bin/albef_vqa" train --init "$init" --data "$scenes/vqa_train.json" \
  --image-root "$scenes/train.tar" --output "$out/vqa" --epochs 4
"$bin/albef_vqa" evaluate -m "$out/vqa/checkpoint.safetensors" --data "$scenes/vqa_test.json" \
  --answers "$scenes/answer_list.json" --image-root "$scenes/test.tar" \
  --output "$out/vqa/results.json" --sheet "$out/vqa.png"

step "visual entailment, $out/ve"
"$bin/albef_ve" train --init "$init" --data "$scenes/ve_train.json" \
  --image-root "$scenes/train.tar" --output "$out/ve" --epochs 4
"$bin/albef_ve" evaluate -m "$out/ve/checkpoint.safetensors" --data "$scenes/ve_test.json" \
  --image-root "$scenes/test.tar" --output "$out/ve/results.json" --sheet "$out/ve.png"

step "reasoning on pairs of pictures, $out/nlvr"
"$bin/albef_nlvr" train --init "$init" --data "$scenes/nlvr_train.json" \
  --image-root "$scenes/train.tar" --output "$out/nlvr" --epochs 4
"$bin/albef_nlvr" evaluate -m "$out/nlvr/checkpoint.safetensors" --data "$scenes/nlvr_test.json" \
  --image-root "$scenes/test.tar" --output "$out/nlvr/results.json" --sheet "$out/nlvr.png"

step "grounding, $out/ground"
"$bin/albef_ground" train --init "$init" --data "$scenes/grounding_train.json" \
  --image-root "$scenes/train.tar" --output "$out/ground" --epochs 2
"$bin/albef_ground" evaluate -m "$out/ground/checkpoint.safetensors" \
  --data "$scenes/grounding_test.json" --image-root "$scenes/test.tar" \
  --refs "$scenes/refs.json" --instances "$scenes/instances.json" \
  --detections "$scenes/dets.json" --output "$out/ground/results.json" --sheet "$out/ground.png"

step "results"
