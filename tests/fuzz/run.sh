#!/usr/bin/env bash
# Fuzzes every reader with libFuzzer under AddressSanitizer and UndefinedBehaviorSanitizer: only
# albef::Error may leave a reader, within its limits of memory and ten seconds.
# Usage: bash tests/fuzz/run.sh [--seconds N | --runs N] [--seed N] [--jobs N] [--keep] [TARGET...]
#   --seconds N  time of each target (default: 60); what hours find: --seconds 7200 --seed 0 --keep
#   --runs N     executions of each target instead
#   --seed N     of the random inputs (default: 1, the same each time; 0: others each time)
#   --jobs N     targets at a time (default: one per core)
#   --keep       go on with the inputs found earlier, in build/fuzz/corpus
#   TARGET       e.g. shard or picture (default: all)
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"

limit=(-max_total_time=60)
seed=1
jobs=$(nproc)
keep=no
targets=()
while [ $# -gt 0 ]; do
  case "$1" in
    --seconds) limit=(-max_total_time="${2:?--seconds needs a number}") && shift ;;
    --runs) limit=(-runs="${2:?--runs needs a number}") && shift ;;
    --seed) seed=${2:?--seed needs a number} && shift ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    --keep) keep=yes ;;
    -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    -*) echo "tests/fuzz/run.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
    *) targets+=("$1") ;;
  esac
  shift
done
if [ ${#targets[@]} -eq 0 ]; then
  mapfile -t targets < <(basename -s .cpp tests/fuzz/*.cpp)
fi

bash cmake/install_dependencies.sh examples fuzz
work=build/fuzz
mkdir -p "$work"
if ! { cmake --preset fuzz && cmake --build "$work" --parallel "$(bash cmake/jobs.sh)" \
  --target "${targets[@]/#/fuzz_}"; } >"$work/build.log" 2>&1; then
  grep -v '^\[[0-9]*/[0-9]*\]' "$work/build.log" | tail -n 60 >&2
  echo "The fuzz targets were not built; see $work/build.log" >&2
  exit 1
fi

# Inputs are files of a few kilobytes, written for every execution: in memory where that is possible.
if [ -w /dev/shm ]; then
  TMPDIR=$(mktemp -d /dev/shm/albef-fuzz-XXXXXX)
else
  TMPDIR=$(mktemp -d)
fi
export TMPDIR
trap 'rm -rf "$TMPDIR"' EXIT

# One target; its last line is what is reported.
fuzz_one() {
  local target=$1 corpus=$TMPDIR/corpus/$1 status=0 log=$work/$1.log
  [ "$keep" = no ] || corpus=$work/corpus/$1
  mkdir -p "$corpus" "$work/findings"
  cp tests/fuzz/corpus/"$target"/* "$corpus"/
  "$work/tests/fuzz/fuzz_$target" "${limit[@]}" -seed="$seed" -timeout=10 -rss_limit_mb=2048 -max_len=4096 -reload=0 \
    -close_fd_mask=3 -print_final_stats=1 -artifact_prefix="$work/findings/$target-" \
    "$corpus" >"$log" 2>&1 || status=$?
  local runs seconds
  runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log" | tail -n 1)
  seconds=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log" | tail -n 1)
  if [ $status -eq 0 ]; then
    printf '%-16s %10s executions %6s s  no finding\n' "$target" "$runs" "$seconds"
  else
    printf '%-16s %10s executions %6s    FINDING: %s\n' "$target" "${runs:-?}" "" \
      "$(grep -hE 'SUMMARY|ERROR|runtime error' "$log" | head -n 1)"
    sed -n 's/.*\(Test unit written to .*\)/    \1/p' "$log"
    echo "    see $log"
  fi
  return $status
}

status=0
running=0
for target in "${targets[@]}"; do
  if [ "$running" -ge "$jobs" ]; then
    wait -n || status=1
    running=$((running - 1))
  fi
  fuzz_one "$target" &
  running=$((running + 1))
done
while [ "$running" -gt 0 ]; do
  wait -n || status=1
  running=$((running - 1))
done
exit $status
