#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one command, under 9 minutes and without a network:
#
#   OUT=/tmp/out benchmarks/gpu_check.sh
#
# Builds the package with its CUDA code, runs the GPU tests, compute-sanitizer over the CUDA sampler,
# and the benchmarks that need nothing but torch and Triton. Wants Python with torch (CUDA), triton, cmake, ninja,
# pybind11, pytest and hypothesis, and nvcc. Logs and results go to $OUT, by default benchmarks/results.
# A step that fails does not stop the next ones; the exit status is 1 when any failed.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-benchmarks/results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
python=${PYTHON:-python3}
summary="$out/gpu_check.txt"
: >"$summary"
failed=0
budget=520 # seconds for all steps together

# step NAME SECONDS COMMAND...: runs it with a time limit, its output in $out/NAME.log
step() {
  local name=$1 limit=$2 start=$SECONDS status=0
  shift 2
  local left=$((budget - SECONDS))
  [ "$limit" -le "$left" ] || limit=$((left > 1 ? left : 1))
  timeout --kill-after=10 "$limit" "$@" >"$out/$name.log" 2>&1 || status=$?
  local verdict=ok
  [ "$status" -eq 0 ] || verdict="FAILED (exit status $status)"
  [ "$status" -ne 124 ] || verdict="FAILED (over its $limit s)"
  printf '%-12s %4d s  %s\n' "$name" $((SECONDS - start)) "$verdict" | tee -a "$summary"
  if [ "$status" -ne 0 ]; then
    failed=1
    tail -n 40 "$out/$name.log"
  fi
  return "$status"
}

# skip NAME REASON
skip() {
  printf '%-12s    -    not run: %s\n' "$1" "$2" | tee -a "$summary"
}

machine() {
  nvidia-smi
  "$python" - <<'PYTHON'
import importlib.util as find
import sys

import torch

print(sys.version)
print("torch", torch.__version__, "CUDA", torch.version.cuda, torch.cuda.get_device_name())
needed = "numpy safetensors typer rich tqdm pybind11 pytest pytest_timeout hypothesis scipy mpmath"
wanted = "triton pytest_benchmark transformers llama_cpp gguf ctranslate2 liger_kernel"
wanted += " vector_quantize_pytorch flash_kmeans"
missing = [name for name in needed.split() if not find.find_spec(name)]
print("missing, not needed here:", [name for name in wanted.split() if not find.find_spec(name)])
sys.exit(f"missing: {missing}" if missing else 0)
PYTHON
}

build_pip() {
  MAS_FAST_CUDA=1 "$python" -m pip install --no-build-isolation --no-deps --no-input -e .
}

# Where pip cannot install: the same build, the libraries beside the Python files.
build_here() {
  MAS_FAST_CUDA=1 "$python" setup.py build_ext --inplace && ln -sfn ../kernels mas_fast/kernels
}

export -f machine build_pip build_here
export python
export PYTHONUNBUFFERED=1

step machine 60 bash -c machine || true
before=$failed
if ! step build 240 bash -c build_pip; then
  # kernels/ is found as mas_fast.kernels by the installed package, else through the link.
  export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
  step build_here 240 bash -c build_here && failed=$before
fi

step info 60 "$python" -c 'from mas_fast import info; print(info.render(info.collect()))' || true
step tests 150 "$python" -m pytest tests -k cuda -q -rs --timeout=120 || true
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
if [ -n "$sanitizer" ]; then
  step sanitizer 120 "$sanitizer" --tool memcheck --error-exitcode 9 --target-processes all \
    "$python" -m pytest tests/test_ops.py tests/test_sampler.py -k cuda -q -x --timeout=110 || true
else
  skip sanitizer "found no compute-sanitizer"
fi
step sampler 60 "$python" -c 'import sys; from mas_fast.bench import run; sys.exit(run("sampler", sys.argv[1]))' \
  "$out/gpu_check.json" || true
step attention 100 "$python" -c 'import sys; from mas_fast.bench import run; sys.exit(run("attention", sys.argv[1]))' \
  "$out/gpu_check.json" || true
step cross_entropy 80 "$python" -c 'import sys; from mas_fast.bench import run; sys.exit(run("cross_entropy", sys.argv[1]))' \
  "$out/gpu_check.json" || true
step vq 60 "$python" -c 'import sys; from mas_fast.bench import run; sys.exit(run("vq", sys.argv[1]))' \
  "$out/gpu_check.json" || true
step training 140 "$python" -c 'import sys; from mas_fast.bench import run; sys.exit(run("training", sys.argv[1]))' \
  "$out/gpu_check.json" || true

cat "$summary"
exit "$failed"
