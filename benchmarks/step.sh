#!/usr/bin/env bash
# A whole training step in this library and in PyTorch, taking turns (compare_step.py): builds
# step_bench and prints time, ratio and peak memory. The machine should be idle.
# Usage: step.sh PYTHON [ROWS]
#   PYTHON  a Python with benchmarks/pytorch/requirements.txt installed, e.g. venv/bin/python
#   ROWS    default: "tiny base" (64 and 8 pairs, fp32); gpu: base with 64 pairs in bf16 on a GPU,
#           against PyTorch eager and compiled;
#           clip, flava, dino: tiny with 64 pairs (dino: 32 pictures of 8 crops), then small with 16
#           (8), against open_clip, transformers and timm
# Takes a minute for tiny, ten minutes for base (9 GB of memory), besides building.
set -euo pipefail
[ $# -ge 1 ] || { echo "step.sh: a Python with PyTorch is needed; see its head" >&2 && exit 2; }
python=$1
rows=${2:-tiny base}
cd "$(dirname "${BASH_SOURCE[0]}")/.."

# compare PRESET OPTION...
compare() {
  cmake --preset "$1" >/dev/null
  cmake --build --preset "$1" --target step_bench
  "$python" benchmarks/compare_step.py --ours "build/$1/benchmarks/step_bench" \
    --torch-python "$python" "${@:2}"
}
for row in $rows; do
  case $row in
    tiny) compare release --config tiny --batch 64 --rounds 7 --steps 8 --warmup 4 ;;
    base)
      compare release --config base --batch 8 --alternate runs --rounds 2 --steps 2 --warmup 1
      ;;
    clip | flava | dino)
      [ "$row" = dino ] && half=2 || half=1
      compare release --model "$row" --config tiny --batch $((64 / half)) --rounds 7 --steps 8 --warmup 4
      compare release --model "$row" --config small --batch $((16 / half)) --rounds 5 --steps 3 --warmup 2
      ;;
    gpu)
      options=(--config base --batch 64 --ours-args "--device cuda"
        --torch-args "--set teacher_dropout=false --device cuda --precision bf16")
      compare cuda "${options[@]}"
      compare cuda "${options[@]}" --compile
      ;;
    *) echo "step.sh: unknown row '$row'; there are tiny, base, clip, flava, dino and gpu" >&2 && exit 2 ;;
  esac
done
