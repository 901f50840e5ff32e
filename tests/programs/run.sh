#!/usr/bin/env bash
# One example program from end to end on small data: trained, stopped by a signal, resumed exactly,
# evaluated, asked; and wrong input, which must end in one line that says what is wrong.
# Usage: run.sh PROGRAMS WORK NAME
#   PROGRAMS  folder of the example programs
#   WORK      folder for what they write; data and pretrain come first, the others build on them
set -euo pipefail
programs=$(cd "${1:?}" && pwd) work=$(mkdir -p "${2:?}" && cd "$2" && pwd) name=${3:?}
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
scenes=$work/scenes pretrained=$work/pretrain/checkpoint.safetensors
emoji=examples/data/emoji
small=(--batch-size 16 --threads 1 --workers 1)

fail() { echo "FAILED: $*" >&2 && exit 1; }
# Runs a program whose output is shown only if it fails.
quietly() {
  "$@" >"$work/$name.log" 2>&1 || { cat "$work/$name.log" >&2 && fail "$*"; }
}
# Its output must have this line, as grep -E has it.
says() {
  local what=$1
  shift
  quietly "$@"
  grep -qE -- "$what" "$work/$name.log" || { cat "$work/$name.log" >&2 && fail "no '$what' from $*"; }
}
# It must end with status 1 and one line of error, which has this text.
refuses() {
  local what=$1 status=0
  shift
  "$@" >"$work/$name.log" 2>"$work/$name.err" || status=$?
  [ $status -eq 1 ] || { cat "$work/$name.err" >&2 && fail "status $status of $*, expected 1"; }
  tail -n 1 "$work/$name.err" | grep -qF -- "$what" || { cat "$work/$name.err" >&2 && fail "no '$what' from $*"; }
}
# The options must be refused, with a line that has this text.
rejects() {
  local what=$1 status=0
  shift
  "$@" >"$work/$name.log" 2>"$work/$name.err" || status=$?
  [ $status -gt 1 ] || fail "status $status of $*, expected that of wrong options"
  head -n 1 "$work/$name.err" | grep -qF -- "$what" || { cat "$work/$name.err" >&2 && fail "no '$what' from $*"; }
}
is_png() { head -c 4 "$1" | grep -q PNG || fail "$1 is no picture"; }
has() { grep -q "\"$2\"" "$1" || fail "$1 has no '$2'"; }

# Trains COMMAND... once without a break and once stopped by SIGTERM and resumed: the metrics of both
# must be the same to the last digit.
trains() {
  quietly "$@" --output "$work/$name" --overwrite
  [ "$(wc -l <"$work/$name/metrics.jsonl")" -ge 4 ] || fail "few metrics"
  for f in checkpoint.safetensors summary.json losses.png vocab.txt run.json; do
    [ -s "$work/$name/$f" ] || fail "no $f"
  done
  is_png "$work/$name/losses.png"
  refuses "there is a run already" "$@" --output "$work/$name"
  stopped "$@"
}
# The second half of it, for programs that make no other files.
stopped() {
  local parts=$work/$name-parts status=0 pid
  rm -rf "$parts"
  "$@" --output "$parts" >"$work/$name.log" 2>&1 &
  pid=$!
  while kill -0 $pid 2>/dev/null && ! grep -qs '"step":1,' "$parts/metrics.jsonl"; do sleep 0.02; done
  kill -TERM $pid 2>/dev/null || true
  wait $pid || status=$?
  [ $status -eq 143 ] || [ $status -eq 0 ] || fail "status $status after SIGTERM"
  quietly "$@" --output "$parts" --resume
  cmp "$work/$name/metrics.jsonl" "$parts/metrics.jsonl" || fail "the resumed run is another one"
  rm -rf "$parts"
}
# train, evaluate and predict of a task program; the rest are options of evaluate, then -- predict.
task() {
  local program=$programs/albef_$1 data=$2 evaluation=() prediction=()
  shift 2
  while [ "$1" != -- ]; do evaluation+=("$1") && shift; done
  shift && prediction=("$@")
  trains "$program" train --init "$pretrained" --data "$scenes/${data}_train.json" \
    --image-root "$scenes/train.tar" --val "$scenes/${data}_val.json" \
    --val-image-root "$scenes/val.tar" --epochs 2 "${small[@]}" "${training[@]}"
  [ -s "$work/$name/checkpoint_best.safetensors" ] || fail "no best epoch"
  has "$work/$name/results.json" epoch
  has "$work/$name/metrics.jsonl" val.score
  local model=$work/$name/checkpoint_best.safetensors out=$work/$name/test.json
  quietly "$program" evaluate -m "$model" --data "$scenes/${data}_test.json" --image-root \
    "$scenes/test.tar" --threads 1 --output "$out" --sheet "$work/$name/sheet.png" "${evaluation[@]}"
  is_png "$work/$name/sheet.png"
  [ -s "$out" ] || fail "no $out"
  quietly "$program" predict -m "$model" --threads 1 "${prediction[@]}"
  refuses "no-such-file" "$program" evaluate -m no-such-file --data "$scenes/${data}_test.json" \
    "${evaluation[@]}"
  [ -z "$wrong_model" ] && return
  refuses "of the task" "$program" evaluate -m "$wrong_model" --data "$scenes/${data}_test.json" \
    --image-root "$scenes/test.tar" "${evaluation[@]}"
}
training=() wrong_model=$work/pretrain/checkpoint.safetensors
picture() { # the first picture of the test scenes, as a file
  tar -xOf "$scenes/test.tar" "$(tar -tf "$scenes/test.tar" | grep -m1 -E '(jpg|png)$')" >"$work/picture.$$"
  echo "$work/picture.$$"
}
bad_records() { # captions of pictures of the test scenes, of which two cannot be used, as a file
  local picture
  picture=$(tar -tf "$scenes/test.tar" | grep -m1 -E '(jpg|png)$')
  cat >"$work/$name-bad.json" <<END
[{"image": "$picture", "caption": "a key"}, {"image": "gone.png", "caption": "lost"},
 {"image": "$picture", "caption": "a cup"}, {"image": "$picture", "caption": 7},
 {"image": "$picture", "caption": "two"}]
END
  echo "$work/$name-bad.json"
}
trap 'rm -f "$work/picture.$$"' EXIT

case $name in
  data)
    quietly "$programs/make_scenes" --easy --scenes 60 --val 12 --test 20 --output "$scenes"
    ;;
  pretrain)
    trains "$programs/albef_pretrain" --data "$scenes/train.tar" --val "$scenes/val.tar" --epochs 2 \
      "${small[@]}" --freeze 'visual_encoder.patch_embed.*' --lr-scale 'text_encoder.*=0.5'
    has "$work/$name/metrics.jsonl" val.score
    refuses "no parameter matches 'visual_encodr.*'" "$programs/albef_pretrain" --data \
      "$scenes/train.tar" --output "$work/none" --freeze 'visual_encodr.*' "${small[@]}"
    [ -e "$work/none/checkpoint.safetensors" ] && fail "a run that was refused left a checkpoint"
    refuses "unknown configuration 'huge'" "$programs/albef_pretrain" --config huge
    for wrong in "--lr=inf: 'inf': expected a finite number" "--max-steps=9223372036854775808: '9223372036854775808': expected a whole number up to 9223372036854775807" \
      "--threads=-1: '-1': expected a number from 0 to 4096" "--seed=-1: '-1': expected a whole number from 0 up to" \
      "--epochs=1e3: '1e3': expected a whole number" "--crop=0.5,1: '0.5,1': expected a finite number" \
      "--flip=1.5: '1.5': expected a number from 0 to 1" "--output=: the value is empty"; do
      rejects "${wrong%%=*}: ${wrong#*: }" "$programs/albef_pretrain" "${wrong%%: *}" --data none.tar
    done
    # Values as they are given, on the command line and in a file.
    odd="$work/a [b],c=d"
    rm -rf "$odd" && mkdir "$odd" && (cd "$odd" && cp "$scenes/train.tar" "[x, y].tar" && cp -- "$scenes/val.tar" -z=1.tar
      printf '# a run\ndata=[x, y].tar\nlr = 2e-4  # peak\ncrop = 0.5 1\noutput="o [p], q"\n' >run.cfg
      quietly "$programs/albef_pretrain" "-d[x, y].tar" -z=1.tar --output "r,[s]" "${small[@]}" --max-steps 1
      quietly "$programs/albef_pretrain" --config-file run.cfg "${small[@]}" --max-steps 1
      [ -s "r,[s]/checkpoint.safetensors" ] && [ -s "o [p], q/checkpoint.safetensors" ]) || fail "a value was taken apart"
    # Closed streams and readers that go away; what is asked for is written, and nothing else.
    steps=("$programs/albef_pretrain" --data "$scenes/train.tar" "${small[@]}" --max-steps 2 --overwrite)
    "${steps[@]}" --output "$work/closed" >&- 2>&- <&- || fail "status $? with closed streams"
    [ "$(wc -l <"$work/closed/metrics.jsonl")" -eq 2 ] || fail "something else is in the metrics"
    "${steps[@]}" --output "$work/closed" 2> >(head -n 1 >/dev/null) || fail "status $? when nobody reads"
    "$programs/albef_pretrain" --help >/dev/full 2>/dev/null && fail "a full disk was not noticed"
    # Signals of batch systems.
    for signal in USR1 XCPU; do
      status=0
      rm -rf "$work/signal"
      "$programs/albef_pretrain" --data "$scenes/train.tar" --epochs 1000 "${small[@]}" \
        --output "$work/signal" >"$work/$name.log" 2>&1 &
      pid=$!
      while kill -0 $pid 2>/dev/null && ! grep -qs '"step":1,' "$work/signal/metrics.jsonl"; do sleep 0.02; done
      kill -$signal $pid
      wait $pid || status=$?
      [ $status -eq $((128 + $(kill -l $signal))) ] || fail "status $status after SIG$signal"
      [ -s "$work/signal/checkpoint.safetensors" ] || fail "no checkpoint after SIG$signal"
    done
    ;;
  eval)
    quietly "$programs/albef_eval" -m "$pretrained" --data "test=$scenes/test.tar" --threads 1 \
      --output "$work/eval.json" --sheet "$work/eval.png"
    is_png "$work/eval.png"
    has "$work/eval.json" itm
    refuses "no-such-file" "$programs/albef_eval" -m "$pretrained" --data no-such-file.tar
    # Records that cannot be used are left out and counted, or refused.
    bad=("$programs/albef_eval" -m "$pretrained" --data "$(bad_records)" --image-root "$scenes/test.tar" --threads 1)
    says "skipped 2 of 5 records" "${bad[@]}" --output "$work/bad-results.json"
    has "$work/bad-results.json" skipped
    refuses "an unusable record: $work/$name-bad.json: record 3" "${bad[@]}" --strict
    # Results that cannot be printed are an error.
    "${bad[@]}" >/dev/full 2>"$work/$name.err" && fail "a full disk was not noticed"
    grep -q "cannot write to the standard output" "$work/$name.err" || fail "no word of the full disk"
    rejects "--batch: '0': expected a number above 0" "${bad[@]}" --batch 0
    ;;
  search)
    says "1\. match" "$programs/albef_search" -m "$pretrained" --data "$scenes/test.tar" --threads 1 \
      --text "a banana above a key" --image "$(picture)" --sheet "$work/search.png"
    is_png "$work/search.png"
    refuses "nothing to search for" "$programs/albef_search" -m "$pretrained" --data "$scenes/test.tar"
    ;;
  embed)
    says "image.npy: [0-9]+ x 64" "$programs/albef_embed" -m "$pretrained" --threads 1 \
      --data "$scenes/test.tar" --output "$work/features"
    head -c 6 "$work/features.text.npy" | grep -q NUMPY || fail "no npy"
    says "skipped 2 of 5 records" "$programs/albef_embed" -m "$pretrained" --threads 1 \
      --data "$(bad_records)" --image-root "$scenes/test.tar" --output "$work/bad"
    [ "$(wc -l <"$work/bad.text.txt")" -eq 4 ] || fail "rows without names"
    ;;
  retrieval)
    wrong_model="" # it evaluates what was pre-trained as well
    task retrieval retrieval -- --data "$scenes/retrieval_test.json" --image-root "$scenes/test.tar" \
      --text "a banana above a key"
    ;;
  vqa)
    task vqa vqa --answers "$scenes/answer_list.json" -- --image "$(picture)" \
      --question "how many objects are there" --output "$work/vqa.png"
    ;;
  ve)
    task ve ve -- --image "$(picture)" --text "there is a key" --output "$work/ve.png"
    ;;
  nlvr)
    trains "$programs/albef_nlvr" assign --init "$pretrained" --data "$scenes/train.tar" --epochs 2 \
      "${small[@]}"
    rm -rf "$work/assigned"
    mv "$work/nlvr" "$work/assigned"
    pretrained=$work/assigned/checkpoint.safetensors
    task nlvr nlvr -- --images "$(picture)" "$(picture)" --text "both pictures show a key"
    ;;
  ground)
    targets=(--refs "$scenes/refs.json" --instances "$scenes/instances.json" --detections
      "$scenes/dets.json")
    training=("${targets[@]}") wrong_model=$work/ve/checkpoint.safetensors
    task ground grounding "${targets[@]}" --heat-maps "$work/heat.png" -- --image "$(picture)" \
      --text "the key" --output "$work/words.png"
    is_png "$work/heat.png"
    is_png "$work/words.png"
    ;;
  ablation)
    rm -rf "$work/ablation"  # it would go on with the runs there
    says "\+ hard negatives" "$programs/albef_ablation" --data "$emoji/emoji-val.tar" --test \
      "$scenes/test.tar" --epochs 1 --seeds 1 --rows 1 3 6 "${small[@]}" --max-steps 2 \
      --output "$work/ablation" --json "$work/ablation.json"
    has "$work/ablation.json" itm
    ;;
  clip)
    clip=("$programs/clip" --data "$emoji/emoji-test_comp.tar" --val "$emoji/emoji-test_gender.tar"
      --epochs 2 --threads 1)
    rm -rf "$work/clip"
    quietly "${clip[@]}" --output "$work/clip"
    has "$work/clip/metrics.jsonl" val.ir1
    stopped "${clip[@]}"
    ;;
  dino)
    grocery=examples/data/grocery
    dino=("$programs/dino" --data "$grocery/grocery-test.tar.gz" --val "$grocery/grocery-test.tar.gz"
      --batch-size 64 --epochs 2 --local-crops 2 --neighbours 5 --threads 1)
    rm -rf "$work/dino"
    quietly "${dino[@]}" --output "$work/dino"
    has "$work/dino/metrics.jsonl" val.knn
    is_png "$work/dino/losses.png"
    [ -s "$work/dino/checkpoint_best.safetensors" ] || fail "no best epoch"
    refuses "now it is 0.04 to 0.05 over 0" "${dino[@]}" --output "$work/dino" --resume --teacher-temp 0.05
    refuses "--local-size 20: expected a multiple of 16" "${dino[@]}" --local-size 20
    refuses "[MultiCrop] got blur radii" "${dino[@]}" --blur-radius 0.05
    refuses "no-such" "${dino[@]}" --data no-such.tar --output "$work/none"
    stopped "${dino[@]}"
    ;;
  probe)
    groceries=(--train examples/data/grocery/grocery-train.tar.gz
      --test examples/data/grocery/grocery-test.tar.gz --threads 1)
    says "knn .* mean of 81 classes" "$programs/probe" -m "$pretrained" "${groceries[@]}" --output \
      "$work/probe.json" --pictures "$work/probe" --penalty 100
    has "$work/probe.json" held_out_accuracy
    is_png "$work/probe/features.png"
    is_png "$work/probe/attention.png"
    says "linear .* mean of 81 classes" "$programs/probe" --new clip "${groceries[@]}" --method linear \
      --classes examples/data/grocery/classes.txt --penalty 10 --output "$work/probe.json"
    has "$work/probe.json" "Granny Smith"
    says "linear" "$programs/probe" --raw-pixels 4 "${groceries[@]}" --label-field coarse --penalty 10
    statements=(--train "$scenes/ve_train.json" --test "$scenes/ve_test.json" --image-root
      "$scenes/train.tar" --test-image-root "$scenes/test.tar" --threads 1 --penalty 10)
    for encoder in text multimodal; do
      says "linear .* mean of 3 classes" "$programs/probe" -m "$pretrained" "${statements[@]}" \
        --encoder $encoder
    done
    printf 'a.png,x\nb.png,x\n' >"$work/probe-one.csv"
    cp "$(picture)" "$work/a.png" && cp "$(picture)" "$work/b.png"
    refuses "all 2 training examples are of one class, 'x'" "$programs/probe" --raw-pixels 4 --train \
      "$work/probe-one.csv" --test "$work/probe-one.csv"
    refuses "no record has a text" "$programs/probe" -m "$pretrained" "${groceries[@]}" --encoder text
    refuses "Give one of --checkpoint, --new and --raw-pixels" "$programs/probe" "${groceries[@]}"
    refuses "the model has no multimodal encoder" "$programs/probe" --new clip "${groceries[@]}" \
      --encoder multimodal
    ;;
  dvae)
    dvae=("$programs/dvae" --data "$emoji/emoji-test_comp.tar" --val "$emoji/emoji-test_gender.tar"
      --epochs 2 --image-size 16 --threads 1)
    says "perplexity [0-9.]+" "${dvae[@]}" --output "$work/dvae" --overwrite
    has "$work/dvae/metrics.jsonl" val.perplexity
    [ -s "$work/dvae/tokenizer.safetensors" ] || fail "no tokenizer"
    is_png "$work/dvae/restored.png"
    refuses "there is a run already" "${dvae[@]}" --output "$work/dvae"
    refuses "--image-size 20: expected a multiple of 8" "$programs/dvae" --image-size 20
    refuses "no-such-place" "$programs/dvae" --data no-such-place --output "$work/dvae-none"
    stopped "${dvae[@]}"
    ;;
  fine_tune)
    groceries=examples/data/grocery
    trains "$programs/fine_tune" train --init "$pretrained" --data "$groceries/grocery-test.tar.gz" \
      --classes "$groceries/classes.txt" --val "$groceries/grocery-train.tar.gz" --epochs 1 \
      --max-steps 4 "${small[@]}"
    has "$work/fine_tune/results.json" "Granny Smith"
    says "mean of 81 classes" "$programs/fine_tune" evaluate -m "$work/fine_tune/checkpoint.safetensors" \
      --data "$groceries/grocery-test.tar.gz" --threads 1 --output "$work/fine_tune/test.json"
    has "$work/fine_tune/test.json" class_mean
    says "^  [A-Z].* 0\.[0-9]+" "$programs/fine_tune" predict -m "$work/fine_tune/checkpoint.safetensors" \
      --image "$(picture)" --threads 1
    refuses "the model reads pictures" "$programs/fine_tune" predict -m \
      "$work/fine_tune/checkpoint.safetensors" --text "a leek"
    statements=(--data "$scenes/ve_train.json" --image-root "$scenes/train.tar")
    for model in "--init $pretrained" "--model flava"; do
      quietly "$programs/fine_tune" train $model --encoder multimodal "${statements[@]}" --max-steps 2 \
        "${small[@]}" --output "$work/fine_tune-pairs" --overwrite
      says "entailment" "$programs/fine_tune" predict -m "$work/fine_tune-pairs/checkpoint.safetensors" \
        --image "$(picture)" --text "there is a key" "there is no key" --threads 1
    done
    quietly "$programs/fine_tune" train --model flava --encoder text "${statements[@]}" --max-steps 2 \
      "${small[@]}" --output "$work/fine_tune-pairs" --overwrite
    refuses "no entry 'classes'" "$programs/fine_tune" evaluate -m "$pretrained" "${statements[@]}"
    refuses "clip has no multimodal encoder" "$programs/fine_tune" train --model clip --encoder \
      multimodal "${statements[@]}"
    printf 'a.png,x\n' >"$work/fine_tune-one.csv"
    refuses "the data have 1 classes, expected 2 to 1024" "$programs/fine_tune" train --model flava \
      --data "$work/fine_tune-one.csv"
    ;;
  flava_evaluate)
    for run in flava dino; do runs+=("$run=$work/$run/checkpoint.safetensors"); done
    says "dino( +-){4}( +[0-9.]+){2}" "$programs/flava_evaluate" -m "albef=$pretrained" "${runs[@]}" --data \
      "gender=$emoji/emoji-test_gender.tar" --train examples/data/grocery/grocery-train.tar.gz --test \
      examples/data/grocery/grocery-test.tar.gz --penalty 100 --threads 1 --output \
      "$work/compared.json" --pictures "$work/compared"
    for key in tr1 knn linear checkpoint; do has "$work/compared.json" $key; done
    for model in albef flava; do
      for file in retrieval attention features; do is_png "$work/compared/$model/$file.png"; done
    done
    is_png "$work/compared/dino/attention.png"
    refuses "nothing to measure" "$programs/flava_evaluate" -m "$pretrained"
    refuses "a checkpoint of none of the models" "$programs/flava_evaluate" -m \
      "$work/ve/checkpoint.safetensors" --data "$emoji/emoji-test_gender.tar"
    ;;
  flava)
    pictures=examples/data/grocery/grocery-test.tar.gz words=examples/data/texts/texts.txt.gz
    flava=("$programs/flava_pretrain" "${small[@]}")
    three=("${flava[@]}" --data "$emoji/emoji-test_gender.tar" --images "$pictures" "$emoji/emoji-val.tar"
      --texts "$words")
    trains "${three[@]}" --val "$emoji/emoji-test_gender.tar" --image-epochs 1 --text-epochs 1 --epochs 3
    for loss in mim mlm mmm_image mmm_text itm contrastive val.ir1; do
      has "$work/flava/metrics.jsonl" $loss
    done
    head -n 1 "$work/flava/metrics.jsonl" | grep -q mim || fail "the run does not begin with pictures"
    # Killed between two checkpoints, each step another kind of data: what is lost is done again.
    again=("${three[@]}" --epochs 6 --objective contrastive --save-every 5 --output "$work/killed")
    rm -rf "$work/killed"
    quietly "${again[@]}"
    mv "$work/killed/metrics.jsonl" "$work/flava/expected.jsonl"
    "${again[@]}" --overwrite >"$work/$name.log" 2>&1 &
    pid=$!
    while kill -0 $pid 2>/dev/null && ! grep -qs '"step":12,' "$work/killed/metrics.jsonl"; do sleep 0.02; done
    kill -KILL $pid 2>/dev/null || true
    wait $pid 2>/dev/null || true
    quietly "${again[@]}" --resume
    cmp "$work/flava/expected.jsonl" "$work/killed/metrics.jsonl" || fail "the resumed run is another one"
    refuses "the run was started with run.objective contrastive, now it is full" "${three[@]}" \
      --mismatch 0 --epochs 6 --save-every 5 --output "$work/killed" --resume
    # An encoder of another run; data that lack what is asked for.
    says "loaded [0-9]+ tensors" "${flava[@]}" --data "$emoji/emoji-val.tar" --init-image \
      "$work/flava/checkpoint.safetensors" --init-text "$work/flava/checkpoint.safetensors" \
      --max-steps 1 --overwrite --output "$work/started"
    refuses "no-such-file" "${flava[@]}" --data "$emoji/emoji-val.tar" --init-image no-such-file \
      --output "$work/none"
    refuses "texts.txt.gz' holds no pictures" "${flava[@]}" --images "$words" --output "$work/none"
    refuses "grocery-test.tar.gz' holds no texts" "${flava[@]}" --texts "$pictures" --output "$work/none"
    refuses "--image-epochs 2: there are no --images" "${flava[@]}" --data "$emoji/emoji-val.tar" \
      --image-epochs 2 --output "$work/none"
    refuses "there is nothing to learn from" "${flava[@]}" --output "$work/none"
    [ -e "$work/none/checkpoint.safetensors" ] && fail "a run that was refused left a checkpoint"
    ;;
  zero_shot)
    [ -f "$work/named/checkpoint_best.safetensors" ] || "$programs/clip" --data \
      "$emoji/emoji-test_comp.tar" --val "$emoji/emoji-test_gender.tar" --epochs 1 --threads 1 \
      --output "$work/named" >"$work/zero_shot.log" 2>&1
    says "top-1 .* top-5" "$programs/zero_shot" -m "$work/named/checkpoint_best.safetensors" --labelled \
      examples/data/grocery/grocery-test.tar.gz --top 0 --threads 1
    says "(cat .*dog|dog .*cat)" "$programs/zero_shot" "$(picture)" -m "$pretrained" --class dog \
      cat --threads 1
    printf 'a {}\na picture\n' >"$work/prompts.txt"
    refuses "prompts.txt:2: the prompt 'a picture' has no place {} for the name of the class" \
      "$programs/zero_shot" "$(picture)" -m "$pretrained" --class dog --prompts "$work/prompts.txt"
    ;;
  custom_layer)
    says "ScaledBranch<48>: gradients agree" "$programs/custom_layer" --threads 1
    ;;
  *) fail "unknown program '$name'" ;;
esac
echo "$name: passed"
