#!/usr/bin/env bash
# What goes wrong around a run: it is killed, the disk is full, the folder goes away, files are damaged
# or replaced, limits are low, streams closed, signals sent. A run that goes on must end in the very
# tensors, metrics and results of one that was never disturbed; one that cannot must say why in a
# line, leave nothing half-written and lose nothing that was saved.
# Usage: run.sh PROGRAMS WORK [--long] [--seed N] [GROUP...]
#   PROGRAMS  folder of the example programs
#   WORK      folder for what they write
#   GROUP     signals kills disk folder damage limits streams runs shards clock; without one, all
set -euo pipefail
programs=$(cd "${1:?}" && pwd) work=${2:?}
shift 2
long=0 seed=1 groups=()
while [ $# -gt 0 ]; do
  case $1 in
    --long) long=1 ;;
    --seed) shift && seed=$1 ;;
    *) groups+=("$1") ;;
  esac
  shift
done
[ ${#groups[@]} -gt 0 ] || groups=(signals kills disk folder damage limits streams runs shards clock)
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
emoji=$root/examples/data/emoji
mkdir -p "$work"
work=$(cd "$work" && pwd)

failures=0 checks=0 skipped=0 pid=
trap '[ -z "$pid" ] || kill -KILL "$pid" 2>/dev/null || true' EXIT
fail() { echo "  FAILED: $*" && failures=$((failures + 1)); }
skip() { echo "  skipped: $*" && skipped=$((skipped + 1)); }
check() { # MESSAGE COMMAND...: counts, and fails unless the command succeeds
  local message=$1
  shift
  checks=$((checks + 1))
  [ $((checks % 50)) -ne 0 ] || echo "  $group: $((checks - checks_before)) checks so far, $((SECONDS - begin)) s"
  "$@" || { fail "$message" && show_log; }
}
show_log() { [ ! -s "$log" ] || tail -n 3 "$log" | cut -c1-300 | sed 's/^/    | /'; }
count() { [ $long -eq 1 ] && echo "$2" || echo "$1"; } # SHORT LONG
random() { drawn=$(((RANDOM << 15 | RANDOM) % $1)); } # not in a subshell, whose numbers are others
pause() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; } # milliseconds

# --- A run, and whether two are the same ---------------------------------------------------------
# part FROM RECORDS: the first records of a shard, as another.
part() {
  local unpacked=$work/part.$$ list=$work/part.$$.list
  tar -tf "$emoji/$1.tar" | sort | sed -n "1,$(($2 * per_record))p" >"$list"
  mkdir "$unpacked" && tar -xf "$emoji/$1.tar" -C "$unpacked" -T "$list"
  tar -cf "$work/$1-$2.tar" -C "$unpacked" -T "$list"
  rm -r "$unpacked" "$list"
  echo "$work/$1-$2.tar"
}
per_record=$(tar -tf "$emoji/emoji-val.tar" | sed 's/\.[a-z]*$//' | sort | uniq -c | awk 'NR == 1 {print $1}')
data=$(part emoji-val 48) val=$(part emoji-test_comp 12) other=$(part emoji-test_comp 48)
common=("$programs/albef_pretrain" --data "$data" --batch-size 16 --queue-size 64 --threads 1
  --workers 1 --save-every 2)
train=("${common[@]}" --epochs 3)
endless=("${common[@]}" --epochs 100000)
validated=("${train[@]}" --val "$val" --keep-epochs)

# Runs COMMAND..., its output in $log, and keeps its status.
try() {
  status=0
  "$@" >"$log" 2>&1 || status=$?
}
start() { # in the background
  "$@" >"$log" 2>&1 &
  pid=$!
}
finish() { status=0 && wait "$pid" 2>/dev/null || status=$?; pid=; }
reaches() { # FOLDER STEP: waits for the running process
  while kill -0 "$pid" 2>/dev/null && ! grep -qs "\"step\":$2," "$1/metrics.jsonl"; do sleep 0.01; done
}
saved() { # FOLDER: waits for its first checkpoint
  while kill -0 "$pid" 2>/dev/null && [ ! -s "$1/checkpoint.safetensors" ]; do sleep 0.01; done
}
reference() { # COMMAND...: a run that nothing disturbs, in $reference
  reference=$work/reference-$group
  rm -rf "$reference" && log=$work/$group.log
  "$@" --output "$reference" >"$log" 2>&1 || { show_log && echo "the undisturbed run failed" && exit 1; }
}
# The numbers of a checkpoint without what is said of them (seconds differ).
tensors() { tail -c +$(($(od -A n -t u8 -N 8 "$1") + 9)) "$1"; }
same_tensors() { cmp -s <(tensors "$1") <(tensors "$2"); }
same_run() { # FOLDER: as the reference
  local file name
  for file in "$reference"/*; do
    name=${file##*/}
    case $name in
      checkpoint.[0-9]*.safetensors) ;; # those before the last
      *.safetensors) same_tensors "$file" "$1/$name" || { echo "    other tensors: $name" && return 1; } ;;
      metrics.jsonl | results.json) cmp -s "$file" "$1/$name" || { echo "    another $name" && return 1; } ;;
    esac
  done
}
nothing_half_written() { # FOLDER
  [ -z "$(find "$1" -name '*.tmp*' -o -name '*.part' 2>/dev/null)" ]
}
# A program ended by itself, with status 1 and a sentence, not a text of the system's or of C++'s.
ends_clearly() {
  local last
  last=$(tr '\r' '\n' <"$log" | tail -n 1)
  [ "$status" -eq 1 ] || { echo "    status $status" && return 1; }
  ! grep -qE 'terminate called|Assertion|std::' "$log" || return 1
  [[ $last =~ ^albef_[a-z]+:\ .{20,} ]] && [[ ! $last =~ ^albef_[a-z]+:\ :?\ ?[A-Z][a-z\ ]+$ ]]
}
works_or_ends_clearly() { [ "$status" -eq 0 ] || ends_clearly; }
log_has() { LC_ALL=C grep -qaE -- "$1" "$log"; } # also where it quotes bytes that are no text
# Goes on with a run, or begins it anew where there is nothing yet to go on with.
go_on() { # FOLDER COMMAND...
  local folder=$1
  shift
  if [ -e "$folder/checkpoint.safetensors" ]; then
    try "$@" --output "$folder" --resume
  else
    try "$@" --output "$folder" --overwrite
  fi
}
as_nobody() { # COMMAND...: as somebody whom limits and permissions bind
  if [ "$(id -u)" -ne 0 ]; then
    "$@"
  else
    setpriv --reuid 65534 --regid 65534 --clear-groups "$@"
  fi
}
can_be_nobody() { as_nobody "$programs/albef_pretrain" --help >/dev/null 2>&1; }

# --- The groups ------------------------------------------------------------------------------------

test_signals() {
  local signal folder
  reference "${validated[@]}"
  for signal in TERM INT USR1 USR2 HUP XCPU; do
    folder=$work/signals-$signal && rm -rf "$folder"
    start env --default-signal "${validated[@]}" --output "$folder"
    reaches "$folder" 1
    kill -s $signal "$pid" 2>/dev/null || true
    finish
    check "status $status after SIG$signal" [ "$status" -eq $((128 + $(kill -l $signal))) ]
    check "no checkpoint after SIG$signal" [ -s "$folder/checkpoint.safetensors" ]
    go_on "$folder" "${validated[@]}"
    check "another run after SIG$signal" same_run "$folder"
    rm -rf "$folder"
  done
  folder=$work/signals-bus && rm -rf "$folder" # as of a mapped file that is cut
  start "${validated[@]}" --output "$folder"
  reaches "$folder" 1
  kill -s BUS "$pid" 2>/dev/null || true
  finish
  check "status $status after SIGBUS" ends_clearly
  go_on "$folder" "${validated[@]}"
  check "another run after SIGBUS" same_run "$folder"
  folder=$work/signals-ignored
  for signal in HUP PIPE; do
    rm -rf "$folder"
    start env --ignore-signal=$signal "${validated[@]}" --output "$folder"
    reaches "$folder" 1
    kill -s $signal "$pid" 2>/dev/null || true
    finish
    check "status $status although SIG$signal is ignored" [ "$status" -eq 0 ]
    check "another run although SIG$signal is ignored" same_run "$folder"
  done
  rm -rf "$folder"
  try bash -c 'ulimit -S -t 2; exec "$@"' bash "${endless[@]}" --output "$folder"
  check "status $status at the limit of processor time" [ "$status" -eq 152 ]
  check "no checkpoint at the limit of processor time" [ -s "$folder/checkpoint.safetensors" ]
  rm -rf "$folder"
}

test_kills() {
  local runs kills=0 folder=$work/kills span begin run
  begin=$(date +%s%N)
  reference "${validated[@]}"
  span=$((($(date +%s%N) - begin) / 1000000))
  runs=$(count 4 100)
  for ((run = 0; run < runs; ++run)); do
    rm -rf "$folder" && status=137
    while [ "$status" -eq 137 ]; do
      if [ -e "$folder/checkpoint.safetensors" ]; then
        start "${validated[@]}" --output "$folder" --resume
      else
        start "${validated[@]}" --output "$folder" --overwrite
      fi
      # A tenth of the times a run is let through, so that it ends.
      random 10
      if [ "$drawn" -gt 0 ]; then
        random "$span" && pause "$drawn"
        kill -KILL "$pid" 2>/dev/null && kills=$((kills + 1))
      fi
      finish
    done
    check "status $status of run $run after kills" [ "$status" -eq 0 ]
    check "run $run is another one after kills" same_run "$folder"
    check "run $run left something half-written" nothing_half_written "$folder"
  done
  echo "  $kills kills in $runs runs"
  rm -rf "$folder"
}

test_disk() {
  local disk=$work/disk folder size
  reference "${train[@]}"
  size=$(($(stat -c %s "$reference/checkpoint.safetensors") / 1024))
  # A limit of the size of files stands for a disk that is full at the first checkpoint.
  folder=$work/limited && rm -rf "$folder"
  try bash -c 'ulimit -f "$1"; shift; exec "$@"' bash $((size / 2)) "${train[@]}" --output "$folder"
  check "not a clear end at a limit of sizes" ends_clearly
  check "no reason at a limit of sizes" log_has 'File too large'
  check "something half-written at a limit of sizes" nothing_half_written "$folder"
  check "a checkpoint that cannot be whole" [ ! -e "$folder/checkpoint.safetensors" ]
  go_on "$folder" "${train[@]}"
  check "another run after a limit of sizes" same_run "$folder"
  # Results: the old file stays, and there is no other.
  local eval=("$programs/albef_eval" -m "$reference/checkpoint.safetensors" --data "$val" --threads 1)
  rm -rf "$folder" && mkdir "$folder"
  echo old >"$folder/sheet.png"
  try bash -c 'ulimit -f 4; exec "$@"' bash "${eval[@]}" --sheet "$folder/sheet.png"
  check "not a clear end where a sheet does not fit" ends_clearly
  check "an old sheet is lost" [ "$(cat "$folder/sheet.png")" = old ]
  check "a sheet half-written" [ "$(ls "$folder" | wc -l)" -eq 1 ]
  try "${eval[@]}" --output /dev/full
  check "results on a full disk" ends_clearly
  status=0 && "${eval[@]}" >/dev/full 2>"$log" || status=$?
  check "results printed to a full disk" ends_clearly
  rm -rf "$folder"
  # A disk with room for one checkpoint and a half, where one may be mounted.
  mkdir -p "$disk"
  if mount -t tmpfs -o size=$((size * 3 / 2))k tmpfs "$disk" 2>/dev/null; then
    try "${train[@]}" --output "$disk/run"
    check "not a clear end on a full disk" ends_clearly
    check "no reason on a full disk" log_has 'No space left'
    check "something half-written on a full disk" nothing_half_written "$disk/run"
    check "the first checkpoint is lost on a full disk" [ -s "$disk/run/checkpoint.safetensors" ]
    cp -r "$disk/run" "$folder"
    umount "$disk"
    go_on "$folder" "${train[@]}"
    check "another run after a full disk" same_run "$folder"
  else
    skip "a full disk: no file system may be mounted here"
  fi
  rm -rf "$folder" "$disk"
}

test_folder() {
  local folder=$work/folder
  reference "${validated[@]}"
  # Removed, and renamed, while the run goes on: what it knows is written again.
  rm -rf "$folder"
  start "${validated[@]}" --output "$folder"
  saved "$folder" && rm -rf "$folder"
  finish
  check "not a clear end after the folder was removed" works_or_ends_clearly
  [ "$status" -ne 0 ] ||
    check "a folder that was removed has another last checkpoint" \
      same_tensors "$folder/checkpoint.safetensors" "$reference/checkpoint.safetensors"
  # One that cannot be written.
  rm -rf "$folder" && mkdir "$folder" && chmod 555 "$folder"
  if can_be_nobody; then
    try as_nobody "${train[@]}" --output "$folder"
    check "not a clear end in a read-only folder" ends_clearly
    try as_nobody "${train[@]}" --output "$folder/below"
    check "not a clear end below a read-only folder" ends_clearly
    check "something in a read-only folder" [ -z "$(ls -A "$folder")" ]
  else
    skip "a read-only folder: nobody may run the programs here"
  fi
  # A file where the folder should be.
  rm -rf "$folder" && echo mine >"$folder"
  try "${train[@]}" --output "$folder"
  check "not a clear end where a file is" ends_clearly
  check "a file was replaced by a folder" [ "$(cat "$folder")" = mine ]
  rm -f "$folder"
}

# Changes one bit of FILE at OFFSET.
flip() {
  local byte
  byte=$(od -A n -t u1 -j "$2" -N 1 "$1")
  random 8
  printf "\\x$(printf '%02x' $((byte ^ (1 << drawn))))" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

test_damage() {
  local half=$work/half folder=$work/damage size header offset i kind before after fell_back=0 refused=0
  reference "${train[@]}"
  rm -rf "$half"
  try "${train[@]}" --output "$half" --max-steps 5
  size=$(stat -c %s "$half/checkpoint.safetensors")
  header=$(($(od -A n -t u8 -N 8 "$half/checkpoint.safetensors") + 8))
  for ((i = 0; i < $(count 16 400); ++i)); do
    rm -rf "$folder" && cp -r "$half" "$folder"
    case $((i % 4)) in
      0) kind=flip && random $((size - header)) && offset=$((header + drawn)) ;;
      1) kind=flip && random "$header" && offset=$drawn ;;
      2) kind=cut && random "$size" && offset=$drawn ;;
      3) kind=noise && random $((size - header - 4096)) && offset=$((header + drawn)) ;;
    esac
    case $kind in
      flip) flip "$folder/checkpoint.safetensors" "$offset" ;;
      cut) truncate -s "$offset" "$folder/checkpoint.safetensors" ;;
      noise) dd if=/dev/urandom of="$folder/checkpoint.safetensors" bs=4096 count=1 seek="$offset" \
        oflag=seek_bytes conv=notrunc status=none ;;
    esac
    before=$(cksum <"$folder/checkpoint.safetensors")
    try "${train[@]}" --output "$folder" --resume
    after=$(cksum <"$folder/checkpoint.safetensors")
    if [ "$status" -eq 0 ]; then
      fell_back=$((fell_back + 1))
      check "$kind at byte $offset of $size: no word of it" \
        log_has 'WARNING: .*checkpoint\.safetensors.*goes on from the checkpoint before it'
      check "$kind at byte $offset of $size: another run" same_run "$folder"
    else
      refused=$((refused + 1))
      check "$kind at byte $offset of $size: not a clear end" ends_clearly
      check "$kind at byte $offset of $size: the file is not named" log_has 'checkpoint'
      check "$kind at byte $offset of $size: the checkpoint was written over" [ "$before" = "$after" ]
    fi
    # Nobody evaluates it either, but by the tensors and entries that are whole.
    try "$programs/albef_eval" -m "$folder/checkpoint.safetensors" --data "$val" --threads 1
    check "$kind at byte $offset of $size: evaluation" works_or_ends_clearly
  done
  echo "  $fell_back resumed from an older checkpoint, $refused refused"
  # A log is only a log: the run goes on without its damaged line.
  rm -rf "$folder" && cp -r "$half" "$folder"
  echo '{"step": 1, "los' >>"$folder/metrics.jsonl" && echo 'x{"step":' >>"$folder/metrics.jsonl"
  try "${train[@]}" --output "$folder" --resume
  check "a damaged log stops a run" [ "$status" -eq 0 ]
  check "other tensors after a damaged log" \
    same_tensors "$folder/checkpoint.safetensors" "$reference/checkpoint.safetensors"
  rm -rf "$folder" "$half"
}

test_limits() {
  local n folder=$work/limits
  reference "${train[@]}"
  local run=("${train[@]}" --output "$folder" --overwrite)
  for n in $(count "60 120 200 300 500" "$(seq -s ' ' 40 10 600)"); do
    rm -rf "$folder"
    try bash -c 'ulimit -v "$1"; shift; exec "$@"' bash $((n * 1024)) "${run[@]}"
    # A program that cannot even be loaded is the loader's to tell of.
    [ "$status" -eq 127 ] || check "with $n MiB of memory" works_or_ends_clearly
    [ "$status" -ne 0 ] || check "another run with $n MiB of memory" same_run "$folder"
  done
  for n in $(count "4 5 7 9" "$(seq -s ' ' 3 16)"); do
    rm -rf "$folder"
    try bash -c 'ulimit -n "$1"; shift; exec "$@"' bash "$n" "${run[@]}"
    [ "$status" -eq 127 ] || check "with $n files" works_or_ends_clearly
    check "records are skipped for want of descriptors, $n" eval '! log_has "^skipped"'
  done
  if can_be_nobody; then
    local open=$work/limits-nobody
    rm -rf "$open" && mkdir "$open" && chmod 777 "$open"
    for n in 1 2 3; do
      for option in "--threads 4 --workers 0" "--threads 1 --workers 4"; do
        # shellcheck disable=SC2086
        try as_nobody bash -c 'ulimit -u "$1"; shift; exec "$@"' bash "$n" "$programs/albef_pretrain" \
          --data "$data" --batch-size 16 --max-steps 3 $option --output "$open/run" --overwrite
        check "with $n processes and $option" works_or_ends_clearly
      done
    done
    rm -rf "$open"
  else
    skip "a limit of processes: nobody may run the programs here"
  fi
  rm -rf "$folder"
}

test_streams() {
  local folder=$work/streams mask
  reference "${validated[@]}"
  for mask in $(count "7 4" "1 2 3 4 5 6 7"); do
    rm -rf "$folder"
    status=0
    (
      [ $((mask & 1)) -eq 0 ] || exec <&-
      [ $((mask & 2)) -eq 0 ] || exec >&-
      [ $((mask & 4)) -eq 0 ] || exec 2>&-
      exec "${validated[@]}" --output "$folder"
    ) >"$log" || status=$?
    check "status $status with closed streams ($mask)" [ "$status" -eq 0 ]
    check "another run with closed streams ($mask)" same_run "$folder"
  done
  rm -rf "$folder"
  status=0
  { "${validated[@]}" --output "$folder" 2>&1 || echo $? >"$work/streams.status"; } | head -n 1 >"$log"
  check "a reader that goes away ends the run" [ ! -e "$work/streams.status" ]
  check "another run without a reader" same_run "$folder"
  rm -f "$work/streams.status"
  local eval=("$programs/albef_eval" -m "$folder/checkpoint.safetensors" --data "$val" --threads 1)
  { status=0 && "${eval[@]}" 2>"$log" || status=$?; echo $status >"$work/streams.status"; } | true
  status=$(cat "$work/streams.status")
  check "results that nobody reads" ends_clearly
  rm -rf "$folder" "$work/streams.status"
}

test_runs() {
  local folder=$work/runs second=$work/runs-second.log first
  reference "${train[@]}"
  rm -rf "$folder"
  start "${endless[@]}" --output "$folder"
  first=$pid
  saved "$folder"
  log=$second
  for how in --resume --overwrite ""; do
    try timeout 20 "${endless[@]}" --output "$folder" $how
    check "a second run in the folder (${how:-neither})" ends_clearly
  done
  check "the first run was ended by the second" kill -0 "$first"
  kill -KILL "$first" 2>/dev/null || true
  pid=$first && finish
  # What was killed leaves no lock.
  try timeout -s TERM 5 "${endless[@]}" --output "$folder" --resume
  check "status $status of a resume after a kill" [ "$status" -eq 124 ]
  rm -rf "$folder"
  start "${train[@]}" --output "$folder"
  saved "$folder"
  kill -KILL "$pid" 2>/dev/null || true
  finish
  go_on "$folder" "${train[@]}"
  check "another run after a kill" same_run "$folder"
  rm -rf "$folder" "$second"
}

# As the shard, byte for byte, but for the pictures: all are the smallest one, with zeros behind it.
patched_shard() { # FROM TO
  local unpacked=$work/patched small file size
  rm -rf "$unpacked" && mkdir "$unpacked"
  tar -xf "$1" -C "$unpacked"
  small=$(find "$unpacked" -name '*.png' -printf '%s %p\n' | sort -n | head -n 1 | cut -d ' ' -f 2-)
  cp "$small" "$work/small.png"
  for file in "$unpacked"/*.png; do
    size=$(stat -c %s "$file")
    cp "$work/small.png" "$file" && truncate -s "$size" "$file"
  done
  tar -tf "$1" >"$unpacked.list"
  tar -cf "$2" -C "$unpacked" -T "$unpacked.list"
  rm -rf "$unpacked" "$unpacked.list" "$work/small.png"
}

test_shards() {
  local folder=$work/shards shards=$work/shards-data how
  rm -rf "$shards" && mkdir "$shards"
  patched_shard "$data" "$work/patched.tar"
  cp "$data" "$shards/a.tar"
  local run=("${common[@]/$data/$shards/a.tar}" --epochs 8)
  reference "${run[@]}"
  for how in renamed "renamed to one alike" written "written with one alike" cut removed; do
    rm -rf "$folder" && cp "$data" "$shards/a.tar"
    start "${run[@]}" --output "$folder"
    reaches "$folder" 2
    case $how in
      renamed) cp "$other" "$shards/b" && mv "$shards/b" "$shards/a.tar" ;;
      "renamed to one alike") cp "$work/patched.tar" "$shards/b" && mv "$shards/b" "$shards/a.tar" ;;
      "written with one alike") cat "$work/patched.tar" >"$shards/a.tar" ;;
      written) cat "$other" >"$shards/a.tar" ;;
      cut) truncate -s 20000 "$shards/a.tar" ;;
      removed) rm "$shards/a.tar" ;;
    esac
    finish
    # Either the run keeps the file that it opened, or it says what happened.
    if [ "$status" -eq 0 ]; then
      check "a shard was $how in silence" eval 'same_run "$folder" || log_has "a\.tar"'
    else
      check "a shard was $how" ends_clearly
      check "a shard was $how, and is not named" log_has 'a\.tar'
    fi
  done
  rm -rf "$folder" "$shards" "$work/patched.tar"
}

test_clock() {
  local folder=$work/clock
  if ! command -v faketime >/dev/null; then
    skip "a clock that is set back: there is no faketime here"
    return
  fi
  reference "${validated[@]}"
  for when in "-10 years" "+10 years" "2038-01-19 03:14:00"; do
    rm -rf "$folder"
    start "${validated[@]}" --output "$folder"
    saved "$folder"
    kill -TERM "$pid" 2>/dev/null || true
    finish
    try faketime "$when" "${validated[@]}" --output "$folder" --resume
    check "status $status with another clock" [ "$status" -eq 0 ]
    check "another run with another clock" same_run "$folder"
    check "negative seconds" eval '! grep -qE "seconds\": -" "$folder/summary.json"'
  done
  rm -rf "$folder"
}

for group in "${groups[@]}"; do
  RANDOM=$seed failures_before=$failures begin=$SECONDS log=$work/$group.log
  checks_before=$checks
  test_"$group"
  rm -rf "$work/reference-$group"
  echo "$group: $((checks - checks_before)) checks, $((failures - failures_before)) failed, $((SECONDS - begin)) s"
done
echo "faults: $checks checks, $failures failed, $skipped kinds skipped; seed $seed"
[ "$failures" -eq 0 ]
