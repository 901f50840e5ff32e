# shellcheck shell=bash
# Functions of the scripts beside it, which source it: what is finished is not run again, a training
# that was stopped goes on where it was.

# once FILE COMMAND...: runs COMMAND, which makes FILE last, unless FILE is there.
once() {
  local file=$1
  shift
  [ -e "$file" ] || "$@"
}

# Runs COMMAND... with its output in the file LOG; shows the end of it if that fails.
logged() {
  local log=$1
  shift
  "$@" >>"$log" 2>&1 || { tail -n 20 "$log" >&2 && echo "failed; see $log: $*" >&2 && return 1; }
}

# train RUN COMMAND...: trains to the end in the folder RUN; what is told goes to RUN.log.
train() {
  local run=$1 again=--overwrite
  shift
  grep -qs '"finished": true' "$run/summary.json" && return
  [ ! -e "$run/checkpoint.safetensors" ] || again=--resume
  mkdir -p "$(dirname "$run")"
  echo "$(date +%T) training: $run" >&2
  logged "$run.log" "$@" --output "$run" $again
}

# evaluate FILE COMMAND...: results as JSON in FILE, and what the program prints on the standard
# output, also where it has been printed before.
evaluate() {
  local file=$1
  shift
  if [ ! -e "$file" ]; then
    "$@" --output "$file.part" >"$file.txt" 2>"$file.log" || { cat "$file.log" >&2 && return 1; }
    mv "$file.part" "$file"
  fi
  echo "== $file"
  cat "$file.txt"
}
