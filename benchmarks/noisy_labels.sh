#!/usr/bin/env bash
# Fine-tunes on few examples of scenes, two in five of them with a wrong label, with and without
# momentum distillation, over several seeds, and prints the test accuracies. What is there already
# is not run again.
# Usage: noisy_labels.sh PROGRAMS SCENES CHECKPOINT OUTPUT SEEDS [TASKS]
#   PROGRAMS    folder of the example programs, e.g. build/release/examples
#   SCENES      folder that make_scenes wrote
#   CHECKPOINT  of pre-training on these scenes
#   SEEDS       e.g. "1 2 3"
#   TASKS       default: "ve vqa"
# Environment: THREADS.
set -euo pipefail
programs=${1:?see the head of this file} scenes=$2 pretrained=$3 output=$4 seeds=$5
tasks=${6:-ve vqa}
threads=${THREADS:-1}
mkdir -p "$output"

# The first examples of the training set; a wrong label is that of another example.
spoil() {
  python3 - "$scenes/$1_train.json" "$2" "$output/$1_train.json" <<'PYTHON'
import json, random, sys
source, count, target = sys.argv[1], int(sys.argv[2]), sys.argv[3]
with open(source) as file:
    records = json.load(file)[:count]
key = "label" if "label" in records[0] else "answer"
labels = [record[key] for record in records]
draw = random.Random(0)
for record in records:
    if draw.random() < 0.4:
        record[key] = draw.choice([label for label in labels if label != record[key]])
with open(target, "w") as file:
    json.dump(records, file)
PYTHON
}
options() {
  case $1 in
    ve) echo --batch-size 96 --epochs 12 ;;
    vqa) echo --batch-size 128 --epochs 8 ;;
  esac
}

for task in $tasks; do
  answers=()
  [ "$task" = vqa ] && answers=(--answers "$scenes/answer_list.json")
  spoil "$task" "$([ "$task" = ve ] && echo 4500 || echo 8000)"
  for seed in $seeds; do
    for variant in distilled plain; do
      run=$output/$task-$variant-$seed
      [ -e "$run/test.json" ] && continue
      distillation=(--momentum 0.995 --alpha-epochs 1)  # the paper's
      [ $variant = plain ] && distillation=(--no-distill)
      "$programs/albef_$task" train --init "$pretrained" --data "$output/${task}_train.json" \
        --image-root "$scenes/train.tar" --output "$run" --by-picture --warmup 50 --seed "$seed" \
        --threads "$threads" "${distillation[@]}" $(options "$task") >"$run.log" 2>&1
      "$programs/albef_$task" evaluate -m "$run/checkpoint.safetensors" \
        --data "$scenes/${task}_test.json" --image-root "$scenes/test.tar" "${answers[@]}" \
        --threads "$threads" --output "$run/test.json.part" >>"$run.log" 2>&1
      mv "$run/test.json.part" "$run/test.json"
    done
  done
done

python3 - "$output" "$seeds" "$tasks" <<'PYTHON'
import json, os, statistics, sys
output, seeds, tasks = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()
for task in tasks:
    for variant in ("distilled", "plain"):
        accuracies, seconds = [], []
        for seed in seeds:
            run = f"{output}/{task}-{variant}-{seed}"
            with open(f"{run}/test.json") as file:
                accuracies.append(100 * next(iter(json.load(file).values()))["accuracy"])
            with open(f"{run}/summary.json") as file:
                seconds.append(json.load(file)["train_seconds"])
        each = ", ".join(f"{a:.1f}" for a in accuracies)
        print(f"| {task} | {variant} | {statistics.mean(accuracies):.1f} ({each}) "
              f"| {statistics.mean(seconds) / 60:.1f} |")
PYTHON
