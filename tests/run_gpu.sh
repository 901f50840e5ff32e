#!/usr/bin/env bash
# Builds the CUDA backend and runs its tests on this machine's GPU: every primitive against the CPU
# in double precision, gradient checks, training steps of every task, graph replay, the golden cases
# that run a model or the optimizer, the tests again under compute-sanitizer, and short runs of the
# example programs.
# Needs the CUDA toolkit, CMake, ninja, g++ and, in a folder, the headers of doctest, nlohmann-json
# and CLI11 (default: the system's). Example programs are skipped where their libraries are missing.
# Usage: bash tests/run_gpu.sh [--dependencies FOLDER] [--no-sanitizer] [--no-programs] [--jobs N]
#                              [--bench]
#   --no-sanitizer  leave compute-sanitizer out
#   --no-programs   leave the example programs out
#   --bench         also time the primitives and whole steps
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"

dependencies=
sanitize=yes
programs=yes
bench=
jobs=
while [ $# -gt 0 ]; do
  case "$1" in
    --dependencies) dependencies=$(cd "${2:?--dependencies needs a folder}" && pwd) && shift ;;
    --no-sanitizer) sanitize= ;;
    --no-programs) programs= ;;
    --bench) bench=yes ;;
    --jobs) jobs=${2:?--jobs needs a number} && shift ;;
    -h | --help) sed -n '2,/^set -/{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}" && exit 0 ;;
    *) echo "run_gpu.sh: unknown option '$1'; see --help" >&2 && exit 2 ;;
  esac
  shift
done
[ -n "$jobs" ] || jobs=$(bash cmake/jobs.sh)
if ! command -v nvcc >/dev/null && [ -x /usr/local/cuda/bin/nvcc ]; then
  PATH=$PATH:/usr/local/cuda/bin
fi
if ! command -v nvidia-smi >/dev/null || ! nvidia-smi -L | grep -q GPU; then
  echo "run_gpu.sh: nvidia-smi finds no GPU on this machine" >&2
  exit 1
fi
nvidia-smi -L

build=build/gpu
mkdir -p "$build"
echo "== building with $jobs job(s)"
if ! {
  cmake -S tests/cuda/gpu -B "$build" -G Ninja ${dependencies:+"-DALBEF_DEPENDENCIES=$dependencies"} &&
    cmake --build "$build" --parallel "$jobs"
} >"$build/build.log" 2>&1; then
  tail -n 60 "$build/build.log" >&2
  echo "The build failed; see $build/build.log" >&2
  echo "0 passed, 1 failed, 0 skipped"
  exit 1
fi

passed=0
failed=0
skipped=0
# Runs a command, shows the end of its output if it fails, and counts.
check() {
  local name=$1 log
  shift
  log="$build/${name//[^A-Za-z0-9_]/_}.log"
  local status=0
  "$@" >"$log" 2>&1 || status=$?
  if [ $status -eq 0 ]; then
    echo "ok    $name"
    passed=$((passed + 1))
  elif [ $status -eq 77 ]; then
    echo "skip  $name: $(tail -n 1 "$log") ($log)"
    skipped=$((skipped + 1))
  else
    echo "FAIL  $name ($log)"
    tail -n 40 "$log"
    failed=$((failed + 1))
  fi
}

check tests "$build/test_gpu"
for case in tests/golden/*/case.json; do
  kind=$(sed -n 's/.*"kind": *"\([^"]*\)".*/\1/p' "$case" | head -n 1)
  case "$kind" in
    image | interpolate_pos_embed | lr_schedule | tokenizer) ;; # nothing for a GPU to do
    *) check "golden/$(basename "$(dirname "$case")")" "$build/golden_check_gpu" "$(dirname "$case")" ;;
  esac
done
if [ -n "$sanitize" ] && command -v compute-sanitizer >/dev/null; then
  for tool in memcheck racecheck; do
    # An allocation that fails, as one test wants, is an error to the tool.
    check "$tool" compute-sanitizer --tool "$tool" --error-exitcode 1 "$build/test_gpu" \
      --test-case-exclude="*too little memory*"
  done
fi

# Builds the example programs in $build/programs; false if they cannot be, which is a failure unless
# a library is missing.
build_programs() {
  local log="$build/programs.log"
  echo "== building the example programs"
  if ! cmake -S . -B "$build/programs" -G Ninja -DCMAKE_BUILD_TYPE=Release -DALBEF_CUDA=ON \
    -DCMAKE_CUDA_ARCHITECTURES=native -DALBEF_EXAMPLE_CONFIGS=tiny -DALBEF_EXAMPLE_DEVICES=cuda \
    -DALBEF_BUILD_TESTS=OFF -DALBEF_BUILD_BENCHMARKS=OFF >"$log" 2>&1 &&
    grep -q 'apt-get install' "$log"; then
    skipped=$((skipped + 1))
    echo "skip  example programs: $(grep -m 1 -o 'albef: .* needs [^,]*' "$log") ($log)"
    return 1
  fi
  if ! cmake --build "$build/programs" --parallel "$jobs" >>"$log" 2>&1; then
    echo "FAIL  building the example programs ($log)"
    tail -n 40 "$log"
    failed=$((failed + 1))
    return 1
  fi
}

# Short runs on the GPU, of a fresh folder; training is in bf16.
run_programs() {
  local bin=$build/programs/examples out=$build/runs scenes=$build/runs/scenes
  local emoji=examples/data/emoji init=$build/runs/pretrain/checkpoint.safetensors
  local train=(--device cuda --epochs 1 --image-root "$scenes/train.tar")
  local test=(--device cuda --image-root "$scenes/test.tar")
  rm -rf "$out"
  mkdir -p "$out"
  check custom_layer "$bin/custom_layer" --device cuda
  check clip "$bin/clip" --device cuda --output "$out/clip"
  check albef_pretrain "$bin/albef_pretrain" --device cuda --epochs 4 --output "$out/emoji"
  for program in eval search embed; do
    local more=()
    [ $program != search ] || more=(--text "woman running")
    [ $program != embed ] || more=(--output "$out/features")
    check "albef_$program" "$bin/albef_$program" --device cuda --data "$emoji/emoji-val.tar" \
      -m "$out/emoji/checkpoint.safetensors" ${more[@]+"${more[@]}"}
  done
  check albef_ablation "$bin/albef_ablation" --device cuda --epochs 1 --seeds 1 --rows 1 5 \
    --output "$out/ablation"

  check make_scenes "$bin/make_scenes" --easy --scenes 600 --val 60 --test 60 --output "$scenes"
  check pretrain/scenes "$bin/albef_pretrain" --device cuda --epochs 1 --data "$scenes/train.tar" \
    --output "$out/pretrain"
  for task in retrieval vqa ve nlvr; do
    check "$task/train" "$bin/albef_$task" train "${train[@]}" --init "$init" \
      --data "$scenes/${task}_train.json" --output "$out/$task"
    check "$task/train_fp32" "$bin/albef_$task" train "${train[@]}" --init "$init" \
      --data "$scenes/${task}_train.json" --output "$out/$task-fp32" --precision fp32
    check "$task/evaluate" "$bin/albef_$task" evaluate "${test[@]}" \
      -m "$out/$task/checkpoint.safetensors" --data "$scenes/${task}_test.json"
  done
  check nlvr/assign "$bin/albef_nlvr" assign --device cuda --epochs 1 --init "$init" \
    --data "$scenes/train.tar" --output "$out/assign"
  check vqa/generate "$bin/albef_vqa" evaluate "${test[@]}" --generate \
    -m "$out/vqa/checkpoint.safetensors" --data "$scenes/vqa_test.json"
  check ground/train "$bin/albef_ground" train "${train[@]}" --init "$init" \
    --data "$scenes/grounding_train.json" --output "$out/ground"
  check ground/evaluate "$bin/albef_ground" evaluate "${test[@]}" \
    -m "$out/ground/checkpoint.safetensors" --data "$scenes/grounding_test.json" \
    --refs "$scenes/refs.json" --instances "$scenes/instances.json" \
    --detections "$scenes/dets.json"
}
if [ -n "$programs" ] && build_programs; then
  run_programs
fi

if [ -n "$bench" ]; then
  "$build/cuda_ops_bench"
  "$build/step_bench" --device cuda --config base --batch 64 --steps 30 --warmup 10
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
