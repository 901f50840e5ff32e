#!/usr/bin/env bash
# Composed scenes, from pictures to the results of every task: makes the scenes, pre-trains on their
# captions, prints what retrieval reaches by that alone, then fine-tunes with and without
# pre-training and momentum distillation (downstream.sh) and prints the tables of README.md.
# Usage, from the top of the repository: scenes.sh PROGRAMS SET OUTPUT [SEEDS]
#   PROGRAMS  folder of the example programs with configuration tiny96, e.g. build/release/examples
#   SET       easy      3,000 scenes, 12 objects in one style; 3 hours for three seeds
#             large     6,000 scenes, 40 objects in three styles; 1.5 hours for one seed
#             composed  scenes of another program: packs and tables in the folder SOURCE, as
#                       examples/data/make_task_shards.py describes them; 4 hours for three seeds,
#                       another for the runs on wrong labels (noisy_labels.sh)
#   OUTPUT    folder for everything; what is there already is not run again
#   SEEDS     default: "1 2 3", for large "1"
# Environment: SOURCE, THREADS (1, which the times are for).
set -euo pipefail
[ $# -ge 3 ] || { echo "scenes.sh: 3 arguments are needed; see its head" >&2 && exit 2; }
programs=$1 set=$2 output=$3
export THREADS=${THREADS:-1}
here=$(dirname "${BASH_SOURCE[0]}")
. "$here/runs.sh"
scenes=$output/scenes checkpoint=$output/pretrain/checkpoint.safetensors
mkdir -p "$output"

# Whole pictures, and many masked words, since captions are short.
masks=(--mask-probability 0.4)
case $set in
  easy)
    seeds=${4:-1 2 3} epochs=20
    once "$scenes/dets.json" "$programs/make_scenes" --easy --scenes 3000 --val 200 --test 400 \
      --output "$scenes"
    ;;
  large)
    seeds=${4:-1} epochs=30 masks=()
    once "$scenes/dets.json" "$programs/make_scenes" --output "$scenes"
    ;;
  composed)
    seeds=${4:-1 2 3} epochs=30
    [ -e "$scenes/dets.json" ] || python3 examples/data/make_task_shards.py scenes \
      "${SOURCE:?the folder of packs and tables}" "$scenes"
    ;;
  *) echo "scenes.sh: unknown set '$set'; there are easy, large and composed" >&2 && exit 2 ;;
esac
train "$output/pretrain" "$programs/albef_pretrain" --config tiny96 --data "$scenes/train.tar" \
  --epochs "$epochs" --crop 0.9 1 "${masks[@]}" --threads "$THREADS"
evaluate "$output/pretrain/test.json" "$programs/albef_eval" --checkpoint "$checkpoint" \
  --data "test=$scenes/test.tar" --similarity-weight 33 --threads "$THREADS"

# finetune FOLDER SEEDS [TASKS]
finetune() { bash "$here/downstream.sh" "$programs" "$scenes" "$checkpoint" "$output/$1" "${@:2}"; }
case $set in
  easy)
    finetune downstream "$seeds"
    echo "pairs with text assignment before:"
    VARIANTS="pretrained assigned" finetune downstream "$seeds" nlvr
    echo "retrieval with a learning rate of 5e-4:"
    VARIANTS=pretrained RETRIEVAL="--lr 5e-4" finetune retrieval "$seeds" retrieval
    ;;
  large)
    EPOCHS="3 3 3 3" VARIANTS="both distilled" RETRIEVAL="--lr 5e-4" finetune downstream "$seeds"
    for seed in $seeds; do
      for variant in both distilled; do # the last layer; the table has the last but one
        run=$output/downstream/ground-$variant-$seed
        evaluate "$run/layer3.json" "$programs/albef_ground" evaluate \
          -m "$run/checkpoint.safetensors" --data "$scenes/grounding_test.json" --image-root \
          "$scenes/test.tar" --refs "$scenes/refs.json" --instances "$scenes/instances.json" \
          --detections "$scenes/dets.json" --layer 3 --threads "$THREADS"
      done
    done
    ;;
  composed)
    EPOCHS="2 3 3 2" finetune downstream "$seeds"
    echo "retrieval with a learning rate of 5e-4:"
    EPOCHS="2 3 3 2" VARIANTS="both pretrained" RETRIEVAL="--lr 5e-4" finetune retrieval 1 retrieval
    # spoiled FOLDER SEEDS TASKS
    spoiled() {
      bash "$here/noisy_labels.sh" "$programs" "$scenes" "$checkpoint" "$output/$1" "$2" "$3"
    }
    echo "with wrong labels:"
    spoiled noisy "$seeds" ve
    spoiled noisy 1 vqa
    echo "the same with a momentum of 0.98:"
    VARIANTS=both DISTILLATION="--momentum 0.98 --alpha-epochs 1" spoiled noisy-0.98 1 vqa
    ;;
esac
