#!/usr/bin/env bash
# What needs an NVIDIA GPU, in two calls of under 9 minutes each, without a network, and without a
# compiler where gpu_pack.sh made a pack for this Python:
#
#   OUT=/tmp/out benchmarks/gpu_check.sh figures   # each op beside its definition, then all that is timed
#   OUT=/tmp/out benchmarks/gpu_check.sh tests     # training steps, GPU tests, compute-sanitizer, a model
#   OUT=/tmp/out benchmarks/gpu_check.sh model     # goes on with the model alone
#   benchmarks/gpu_check.sh --rehearse             # all of it at tiny shapes on a CPU, in Triton's interpreter
#   benchmarks/gpu_check.sh figures --list         # the steps of a call
#
# Wants Python with a CUDA torch and Triton; PYTHON names it. Without a pack (PACK, by default
# gpu_pack/ in the checkout) cmake, ninja, pybind11 and nvcc too. SHARDS names a folder of token
# shards of the storybook; without it no model is trained.
#
# $OUT, by default benchmarks/results, receives gpu_check.json, to which every step adds its figures
# at once, and of each call gpu_CALL.txt, a line for each step, and gpu_CALL.logs.tar.gz. A step that
# fails or runs over its time costs only itself; the exit status is then 1.
set -uo pipefail
cd "$(dirname "$0")/.." || exit
checkout=$PWD
unset CI # makes slow tests run
export PYTHONUNBUFFERED=1

usage() { sed -n '2,9s/^# \{0,1\}//p' "$checkout/benchmarks/gpu_check.sh" >&2; exit 2; }
calls=() rehearse='' list=''
for word in "$@"; do
  case $word in
    figures | tests | model) calls+=("$word") ;;
    --rehearse) rehearse=--rehearse ;;
    --list) list=1 ;;
    *) usage ;;
  esac
done
if [ ${#calls[@]} -eq 0 ]; then
  [ -n "$rehearse" ] || usage
  calls=(figures tests)
fi

python=$(command -v "${PYTHON:-python3}")
pack=$(realpath -m "${PACK:-gpu_pack}") shards=${SHARDS:+$(realpath -m "$SHARDS")} hidden=''
device=cuda rows=1000000 jobs=8 budget=520 failed=0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/logs"
site=$work/site runs=$checkout/runs/gpu-model
if [ -n "$rehearse" ]; then
  export TRITON_INTERPRET=1 CUDA_VISIBLE_DEVICES='' OMP_NUM_THREADS=2
  device=cpu rows=2000 jobs=2 pack=$work/pack shards=$work/shards hidden=$work/hidden runs=$work/runs
  OUT=${OUT:-$work/out}
fi
out=${OUT:-benchmarks/results}
if [ -z "$list" ]; then mkdir -p "$out" && out=$(cd "$out" && pwd) || exit; fi

# ---- steps ----------------------------------------------------------------------------------------

# say NAME SECONDS VERDICT
say() { printf '%-14s %4s s  %s\n' "$1" "$2" "$3" | tee -a "$summary"; }

# skip NAME REASON
skip() { if [ -n "$list" ]; then echo "$1"; else say "$1" - "not run: $2"; fi; }

# step NAME SECONDS COMMAND...: runs it with a time limit
step() {
  local name=$1 limit=$2 start=$SECONDS status=0 left=$((budget - SECONDS)) verdict=ok
  shift 2
  if [ -n "$list" ]; then
    echo "$name"
    return
  fi
  if [ "$left" -lt 5 ]; then
    skip "$name" "the $budget s for all steps are over"
    failed=1
    return 1
  fi
  [ "$limit" -le "$left" ] || limit=$left
  timeout --kill-after=10 "$limit" "$@" >"$work/logs/$name.log" 2>&1 </dev/null || status=$?
  [ "$status" -eq 0 ] || verdict="FAILED (exit status $status)"
  [ "$status" -ne 124 ] || verdict="FAILED (over its $limit s)"
  say "$name" $((SECONDS - start)) "$verdict"
  tar -C "$work/logs" -czf "$work/logs.tar.gz" . && cp "$work/logs.tar.gz" "$logs"
  [ "$status" -ne 0 ] || return 0
  failed=1
  tail -n 25 "$work/logs/$name.log"
  return "$status"
}

# subject NAME SECONDS: a subject of `python -m benchmarks`
subject() {
  # shellcheck disable=SC2086 # nothing, or a word
  step "$1" "$2" "$python" -m benchmarks "$1" --json "$out/gpu_check.json" $rehearse
}

# ---- the package, in a folder ---------------------------------------------------------------------

# Whether Python has the module $1; its folder. Neither imports it.
has() { "$python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec(sys.argv[1]))' "$1"; }
folder() {
  "$python" -c 'import importlib.util as u, sys; print(*u.find_spec(sys.argv[1]).submodule_search_locations)' "$1"
}

machine() {
  git rev-parse HEAD || cat "$pack/commit"
  [ "$device" = cpu ] || nvidia-smi || return
  "$python" - <<'PYTHON'
import importlib.util as find
import sys

import torch

print(sys.version, "torch", torch.__version__, "CUDA", torch.version.cuda)
wanted = "triton numpy safetensors tokenizers rich pytest pytest_timeout xdist hypothesis pyarrow scipy"
wanted += " simplejpeg liger_kernel vector_quantize_pytorch flash_kmeans flashinfer"
print("missing:", [name for name in wanted.split() if not find.find_spec(name)])
PYTHON
}

# What an installation would hold: Python code from here, native libraries and wheels from the pack.
assemble() {
  mkdir -p "$site/mas_fast" &&
    tar -c -C mas_fast --exclude='*.so' --exclude=__pycache__ . | tar -x -C "$site/mas_fast" &&
    cp -r kernels configs "$site/mas_fast" &&
    ln -s "$checkout"/{benchmarks,docs,examples,pyproject.toml,README.md,scripts,tests} "$site" || return
  local file status=0
  for file in "$pack"/*; do
    case $file in
      *.so) cp "$file" "$site/mas_fast" || status=1 ;;
      *.whl) # one by one: a wheel for another Python costs only itself
        "$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$site" "$file" || status=1 ;;
    esac
  done
  return "$status"
}

# Whether both native libraries load, with code for the device.
loads() {
  cd "$site" && "$python" -c '
import sys
from mas_fast.ops import dispatch
from mas_fast.utils import native
native.engine()
sys.exit(not dispatch.loaded(sys.argv[1], "sample"))' "$device"
}

# Without pybind11 there is no C++ engine; most figures come all the same.
build() {
  local options=(-DCMAKE_BUILD_TYPE=Release "-DPython_EXECUTABLE=$python" -DMAS_FAST_CUDA=1
    -DMAS_FAST_TORCH=ON "-DMAS_FAST_TORCH_DIR=$(folder torch)")
  if has pybind11; then
    options+=(-DMAS_FAST_ENGINE=ON "-Dpybind11_DIR=$(folder pybind11)/share/cmake/pybind11")
  fi
  if command -v ninja; then options+=(-G Ninja); fi
  cmake -S . -B "$site/build" "${options[@]}" && cmake --build "$site/build" --parallel &&
    cmake --install "$site/build" --prefix "$site/mas_fast" --strip
}

export -f machine assemble loads build has folder
export python pack device checkout site

# For a rehearsal the libraries of this checkout are the pack, and what a machine with a GPU may lack
# is hidden from the tests.
stand_in() {
  mkdir -p "$pack" "$hidden" && cp mas_fast/*.so "$pack" || return
  for name in simplejpeg skia; do
    echo "raise ImportError('hidden by the rehearsal')" >"$hidden/$name.py"
  done
  "$python" -m benchmarks.gpu_model "$shards" --make-shards
}

prepare() {
  step machine 30 bash -c machine
  step assemble 60 bash -c assemble
  if [ -n "$list" ]; then return; fi
  export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
  if ! timeout 60 bash -c loads >"$work/logs/loads.log" 2>&1; then
    tail -n 3 "$work/logs/loads.log"
    step build 240 bash -c build
  fi
  cd "$site" || exit
}

# ---- the calls ------------------------------------------------------------------------------------

figures() {
  step smoke 60 "$python" -m benchmarks.gpu_smoke
  subject gpu_limits 40
  subject gpu_decode 160
  subject gpu_sampler 40
  subject attention 95
  subject vq 45
  subject cross_entropy 45
  subject gpu_batch 120
}

# The GPU tests, all of which are called test_cuda_...; no other file is collected.
gpu_tests() {
  local files options=(-k test_cuda -q -rs -p no:cacheprovider)
  mapfile -t files < <(grep -rl --include='test_*.py' '^def test_cuda' "$checkout/tests")
  if has xdist; then options+=(-n "$jobs"); fi
  if has pytest_timeout; then options+=(--timeout=80); fi
  PYTHONPATH="$hidden:$PYTHONPATH" "$python" -m pytest "${options[@]}" "${files[@]}"
}

# sanitized TOOL [OP ...]: compute-sanitizer over the smoke test; a rehearsal runs some of that alone.
sanitized() {
  if [ "$device" = cpu ]; then
    "$python" -m benchmarks.gpu_smoke sample label_conv
  else
    "$sanitizer" --tool "$1" --error-exitcode 9 --target-processes all "$python" -m benchmarks.gpu_smoke "${@:2}"
  fi
}

sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
export -f gpu_tests sanitized
export sanitizer hidden jobs

tests() {
  subject training 150
  if has pytest; then
    step pytest 100 bash -c gpu_tests
  else
    skip pytest "found no pytest"
  fi
  step adversarial 60 "$python" scripts/adversarial_sampler.py --device "$device" --rows "$rows"
  # Races are looked for where shared memory is handled by hand.
  for check in memcheck "racecheck sample"; do
    if [ -n "$sanitizer$rehearse" ]; then
      # shellcheck disable=SC2086 # a tool, and which ops
      step "${check% *}" 70 bash -c 'sanitized "$@"' - $check
    else
      skip "${check% *}" "found no compute-sanitizer"
    fi
  done
  model
}

# The storybook's GPT, for as long as there is time; its folder stays in the checkout, to go on from.
model() {
  if [ -z "$shards" ]; then
    skip model "SHARDS names no folder of token shards"
    return
  fi
  # shellcheck disable=SC2086
  step model $((budget - SECONDS - 10)) "$python" -m benchmarks.gpu_model "$shards" --folder "$runs" $rehearse
  if [ -z "$list" ] && [ -d "$runs/model" ]; then cp -r "$runs/model" "$out"; fi
}

for call in "${calls[@]}"; do
  summary=$out/gpu_$call.txt logs=$out/gpu_$call.logs.tar.gz
  if [ -z "$list" ]; then : >"$summary"; fi
  if [ "$call" = "${calls[0]}" ]; then
    if [ -n "$rehearse" ] && [ -z "$list" ]; then stand_in || exit; fi
    prepare
  fi
  "$call"
done
exit "$failed"
