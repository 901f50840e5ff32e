#!/usr/bin/env bash
# Fine-tunes on scenes with and without pre-training and momentum distillation, over several seeds,
# and prints a table of the test results. What is there already is not run again.
# Usage: downstream.sh PROGRAMS SCENES CHECKPOINT OUTPUT SEEDS [TASKS]
#   PROGRAMS    folder of the example programs, e.g. build/release/examples
#   SCENES      folder that make_scenes wrote
#   CHECKPOINT  of pre-training on these scenes
#   SEEDS       e.g. "1 2 3"
#   TASKS       default: "vqa ve nlvr retrieval ground"
# Environment: VARIANTS of "both pretrained distilled" (distilled: a new model, with distillation)
#   and, for nlvr, "assigned": pretrained, with two epochs of text assignment before,
#   EPOCHS of questions, entailment, pairs and retrieval (4 6 4 3), DISTILLATION: options for runs
#   with it, RETRIEVAL: further options of training for retrieval, THREADS (1).
# Takes 2 to 8 minutes for every seed, task and variant.
set -euo pipefail
[ $# -ge 5 ] || { echo "downstream.sh: 5 arguments are needed; see its head" >&2 && exit 2; }
programs=$1 scenes=$2 pretrained=$3 output=$4 seeds=$5
tasks=${6:-vqa ve nlvr retrieval ground}
threads=${THREADS:-1}
variants=${VARIANTS:-both pretrained distilled}
read -r vqa_epochs ve_epochs nlvr_epochs retrieval_epochs <<<"${EPOCHS:-4 6 4 3}"
read -ra distillation <<<"${DISTILLATION:-}"
read -ra retrieval_options <<<"${RETRIEVAL:-}"
. "$(dirname "${BASH_SOURCE[0]}")/runs.sh"

for seed in $seeds; do
  for task in $tasks; do
    data=$scenes/$task
    # Examples of a picture come together; whole pictures, since objects at the edge matter.
    training=() evaluation=()
    case $task in
      vqa)
        training=(--by-picture --batch-size 128 --epochs "$vqa_epochs" --warmup 50)
        evaluation=(--answers "$scenes/answer_list.json")
        ;;
      ve) training=(--by-picture --batch-size 96 --epochs "$ve_epochs" --warmup 50) ;;
      nlvr) training=(--by-picture --batch-size 64 --epochs "$nlvr_epochs" --warmup 50) ;;
      retrieval)
        training=(--batch-size 64 --epochs "$retrieval_epochs" --crop 0.9 1 "${retrieval_options[@]}")
        evaluation=(--similarity-weight 33)
        ;;
      ground)
        data=$scenes/grounding
        training=(--batch-size 64 --epochs 1)
        evaluation=(--refs "$scenes/refs.json" --instances "$scenes/instances.json"
          --detections "$scenes/dets.json")
        ;;
      *) echo "downstream.sh: unknown task '$task'" >&2 && exit 2 ;;
    esac
    for variant in $variants; do
      run=$output/$task-$variant-$seed
      case $variant in
        both) start=(--init "$pretrained" "${distillation[@]}") ;;
        pretrained) start=(--init "$pretrained" --no-distill) ;;
        assigned)
          train "$output/assign-$seed" "$programs/albef_nlvr" assign --init "$pretrained" \
            --data "$scenes/train.tar" --epochs 2 --crop 0.9 1 --seed "$seed" --threads "$threads"
          start=(--init "$output/assign-$seed/checkpoint.safetensors" --no-distill)
          ;;
        distilled) start=(--config tiny96 "${distillation[@]}") ;;
        *) echo "downstream.sh: unknown variant '$variant'" >&2 && exit 2 ;;
      esac
      [ -e "$run/test.json" ] && continue
      train "$run" "$programs/albef_$task" train "${start[@]}" --data "${data}_train.json" \
        --image-root "$scenes/train.tar" --seed "$seed" --threads "$threads" "${training[@]}"
      evaluate "$run/test.json" "$programs/albef_$task" evaluate -m "$run/checkpoint.safetensors" \
        --data "${data}_test.json" --image-root "$scenes/test.tar" --threads "$threads" \
        "${evaluation[@]}" >/dev/null
    done
  done
done

python3 - "$output" "$seeds" "$tasks" <<'PYTHON'
import json, os, statistics, sys
output, seeds, tasks = sys.argv[1], sys.argv[2].split(), sys.argv[3].split()

def results(task, run):
    with open(f"{output}/{run}/test.json") as file:
        found = next(iter(json.load(file).values()))
    if task == "retrieval":
        return found["itm"]["tr1"], found["itm"]["ir1"]
    if task == "ground":
        found = found["test"]
        return 100 * found["pointing_accuracy"], 100 * found["box_accuracy"]
    return (100 * found["accuracy"],)

def seconds(run):
    with open(f"{output}/{run}/summary.json") as file:
        return json.load(file)["train_seconds"]

for task in tasks:
    for variant in ("both", "pretrained", "assigned", "distilled"):
        runs = [f"{task}-{variant}-{seed}" for seed in seeds]
        runs = [run for run in runs if os.path.exists(f"{output}/{run}/test.json")]
        if not runs:
            continue
        numbers = zip(*(results(task, run) for run in runs))
        text = "; ".join(f"{statistics.mean(n):.1f} ({', '.join(f'{x:.1f}' for x in n)})" for n in numbers)
        minutes = statistics.mean(map(seconds, runs)) / 60
        print(f"| {task} | {variant} | {text} | {minutes:.1f} |")
PYTHON
