#!/usr/bin/env bash
# Fine-tunes on few examples of scenes, two in five of them with a wrong label, with and without
# momentum distillation, over several seeds, and prints the test accuracies; see downstream.sh.
# Usage: noisy_labels.sh PROGRAMS SCENES CHECKPOINT OUTPUT SEEDS [TASKS]
#   As for downstream.sh; TASKS default: "ve vqa". The training sets go to OUTPUT/scenes.
# Environment: VARIANTS ("both pretrained"), DISTILLATION (the paper's), THREADS (1).
# Takes 8 minutes a seed for entailment, 12 for questions.
set -euo pipefail
[ $# -ge 5 ] || { echo "noisy_labels.sh: 5 arguments are needed; see its head" >&2 && exit 2; }
programs=$1 scenes=$(realpath "$2") pretrained=$3 output=$4 seeds=$5
tasks=${6:-ve vqa}
mkdir -p "$output/scenes"
ln -sf "$scenes"/{*.tar,*_test.json,answer_list.json} "$output/scenes"

# The first examples of the training set; a wrong label is that of another example.
spoil() {
  python3 - "$scenes/$1_train.json" "$2" "$output/scenes/$1_train.json" <<'PYTHON'
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
spoil ve 4500
spoil vqa 8000

# Momentum and growth of the soft targets' weight are the paper's.
EPOCHS="8 12 0 0" VARIANTS=${VARIANTS:-both pretrained} \
  DISTILLATION=${DISTILLATION:---momentum 0.995 --alpha-epochs 1} \
  bash "$(dirname "${BASH_SOURCE[0]}")/downstream.sh" "$programs" "$output/scenes" "$pretrained" \
  "$output" "$seeds" "$tasks"
