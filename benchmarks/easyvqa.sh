#!/usr/bin/env bash
# easy-VQA: trains on its questions from different starts and prints accuracy on the test questions,
# one row of the table in README.md each.
# Usage, from the top of the repository: easyvqa.sh PROGRAMS OUTPUT [ROWS]
#   PROGRAMS  folder of the example programs with configurations tiny, tiny96 and tiny_p8
#   OUTPUT    folder for the runs; what is there already is not run again
#   ROWS      default: "captions-tiny_p8 captions-tiny96 new-tiny_p8 new-tiny"; also emoji, from the
#             checkpoint EMOJI (default: quickstart/checkpoint.safetensors of examples/quickstart.sh)
# Environment: EMOJI, THREADS (1). Takes 9 to 19 minutes for a row on one thread. Seed 42.
set -euo pipefail
[ $# -ge 2 ] || { echo "easyvqa.sh: 2 arguments are needed; see its head" >&2 && exit 2; }
programs=$1 output=$2
rows=${3:-captions-tiny_p8 captions-tiny96 new-tiny_p8 new-tiny}
threads=${THREADS:-1}
. "$(dirname "${BASH_SOURCE[0]}")/runs.sh"
data=examples/data/easyvqa

# Accuracy by what is asked for: shapes, colours, yes or no.
by_kind() {
  python3 - "$data/easyvqa-test.json.gz" "$1" <<'PYTHON'
import collections, gzip, json, sys
with gzip.open(sys.argv[1]) as file:
    right = {question["question_id"]: question["answer"][0] for question in json.load(file)}
with open(sys.argv[2]) as file:
    given = {answer["question_id"]: answer["answer"] for answer in json.load(file)}
kinds = {"circle": "shapes", "rectangle": "shapes", "triangle": "shapes", "yes": "yes or no", "no": "yes or no"}
scores = collections.defaultdict(list)
for number, answer in right.items():
    scores[kinds.get(answer, "colours")].append(given[number] == answer)
for kind, score in sorted(scores.items()):
    print(f"  {kind:12} {100 * sum(score) / len(score):6.1f} %  {len(score)} questions")
PYTHON
}

for row in $rows; do
  config=${row#*-}
  case $row in
    captions-*) # pre-trained on captions made from training questions
      train "$output/pretrain-$config" "$programs/albef_pretrain" --config "$config" \
        --data "$data/easyvqa-train-captions.json.gz" --image-root "$data/easyvqa-train.tar.gz" \
        --epochs 10 --crop 1 1 --mask-probability 0.4 --threads "$threads"
      options=(--init "$output/pretrain-$config/checkpoint.safetensors" --epochs 4 --lr 3e-4
        --crop 1 1 --flip 0.5 --no-distill)
      ;;
    new-tiny) options=(--epochs 10) ;;
    new-*) options=(--config "$config" --epochs 6 --lr 1e-3 --flip 0.5 --no-distill) ;;
    emoji)
      options=(--init "${EMOJI:-quickstart/checkpoint.safetensors}" --epochs 6 --max-steps 1253
        --lr 1e-3 --flip 0.5 --no-distill)
      ;;
    *) echo "easyvqa.sh: unknown row '$row'" >&2 && exit 2 ;;
  esac
  train "$output/$row" "$programs/albef_vqa" train "${options[@]}" \
    --data "$data/easyvqa-train.json.gz" --image-root "$data/easyvqa-train.tar.gz" --by-picture \
    --batch-size 128 --threads "$threads"
  evaluate "$output/$row/test.json" "$programs/albef_vqa" evaluate \
    -m "$output/$row/checkpoint.safetensors" --data "$data/easyvqa-test.json.gz" \
    --image-root "$data/easyvqa-test.tar.gz" --threads "$threads" \
    --predictions "$output/$row/predictions.json"
  by_kind "$output/$row/predictions.json"
done
