#!/usr/bin/env bash
# The first NLVR corpus (three boxes and a statement): learned from captions and statements about
# generated boxes and then with the corpus, and, as statements about pairs, from a pre-trained model
# alone. Prints accuracy on the development set and on test-P after every stage.
# Usage, from the top of the repository: nlvr_corpus.sh PROGRAMS CORPUS OUTPUT [CHECKPOINT]
#   PROGRAMS    folder of the example programs with configurations tiny96 and tiny_p8
#   CORPUS      folder with train, dev and test, each as .json beside its pictures or as a .tsv table
#               beside its .bpk pack
#   OUTPUT      folder for data and runs; what is there already is not run again
#   CHECKPOINT  of pre-training on scenes with tiny96: pretrain/checkpoint.safetensors in the OUTPUT
#               of scenes.sh with SET large; without it the row of pairs is left out
# Environment: THREADS (1). Takes 80 minutes on one thread, with CHECKPOINT 20 more. Seed 42 for the
# boxes, 1 for the pairs.
set -euo pipefail
[ $# -ge 3 ] || { echo "nlvr_corpus.sh: 3 arguments are needed; see its head" >&2 && exit 2; }
programs=$1 corpus=$2 output=$3 pretrained=${4:-}
threads=${THREADS:-1}
. "$(dirname "${BASH_SOURCE[0]}")/runs.sh"
boxes=$output/boxes
mkdir -p "$output"

# convert FOLDER [OPTION...]: the corpus as FOLDER/SPLIT.{json,tar}, its training part in all orders
# of the boxes.
convert() {
  local folder=$1 split source orders
  shift
  for split in train dev test; do
    source=$corpus/$split.json orders=()
    [ -e "$source" ] || source=$corpus/$split.tsv
    [ $split != train ] || orders=(--orders 6)
    once "$folder/$split.json" "$programs/convert_nlvr" "$source" -o "$folder" "${orders[@]}" "$@"
  done
}
# judge PROGRAM RUN FOLDER: its accuracy on the converted corpus.
judge() {
  local split
  for split in dev test; do
    evaluate "$output/$2/$split.json" "$programs/$1" evaluate --threads "$threads" \
      -m "$output/$2/checkpoint.safetensors" --data "$3/$split.json" --image-root "$3/$split.tar"
  done
}
# statements RUN INIT BATCH EPOCHS OPTION...: trains on statements about one picture.
statements() {
  train "$output/$1" "$programs/albef_ve" train --init "$output/$2/checkpoint.safetensors" \
    --by-picture --batch-size "$3" --epochs "$4" --lr 3e-4 --warmup 50 --crop 1 1 --no-distill \
    --threads "$threads" "${@:5}"
  judge albef_ve "$1" "$single"
}

single=$output/single
convert "$single"
make_boxes() {
  once "$boxes/vqa_$1.json" "$programs/make_boxes" -o "$boxes" --name "$1" --pictures 20000 "${@:2}"
}
make_boxes train --statements 9
make_boxes alone --independent
make_boxes more --seed 2 --statements 9

train "$output/captions" "$programs/albef_pretrain" --config tiny_p8 --data "$boxes/train.tar" \
  --epochs 2 --crop 1 1 --mask-probability 0.4 --max-text-length 32 --threads "$threads"
statements alone captions 96 2 --data "$boxes/ve_alone.json" --image-root "$boxes/alone.tar"
statements pairs alone 144 2 --data "$boxes/ve_train.json" --image-root "$boxes/train.tar"
statements corpus pairs 144 1 --data "$boxes/ve_more.json" "$single/train.json" \
  --image-root "{$boxes/more,$single/train}.tar"

if [ -n "$pretrained" ]; then
  square=$output/square
  convert "$square" --pairs
  train "$output/square-nlvr" "$programs/albef_nlvr" train --init "$pretrained" \
    --data "$square/train.json" --image-root "$square/train.tar" --epochs 3 --by-picture \
    --crop 1 1 --seed 1 --threads "$threads"
  judge albef_nlvr square-nlvr "$square"
fi
