#!/usr/bin/env bash
# Everything that needs an NVIDIA GPU, in one command, under 9 minutes and without a network:
#
#   OUT=/tmp/out benchmarks/gpu_check.sh
#
# Builds the package with its CUDA code, runs the GPU tests, compute-sanitizer over the CUDA
# sampler, and the benchmarks that need nothing but torch and Triton. Wants Python with torch
# (CUDA), triton, cmake, ninja, pybind11, pytest and hypothesis, and nvcc; what cannot run for want
# of one of them is named. Logs and results go to $OUT, by default benchmarks/results. A step that
# fails does not stop the next ones; the exit status is 1 when any failed. MAS_FAST_CUDA=0 tries the
# script itself where there is no GPU.
set -uo pipefail
cd "$(dirname "$0")/.."
out=${OUT:-benchmarks/results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
python=$(command -v "${PYTHON:-python3}")
export MAS_FAST_CUDA=${MAS_FAST_CUDA:-1}
summary="$out/gpu_check.txt"
: >"$summary"
failed=0
budget=520 # seconds for all steps together

# step NAME SECONDS COMMAND...: runs it with a time limit, its output in $out/NAME.log
step() {
  local name=$1 limit=$2 start=$SECONDS status=0
  shift 2
  local left=$((budget - SECONDS))
  if [ "$left" -lt 5 ]; then
    skip "$name" "the $budget s for all steps are over"
    failed=1
    return 1
  fi
  [ "$limit" -le "$left" ] || limit=$left
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
print("missing:", missing)
PYTHON
}

build_pip() {
  "$python" -m pip install --no-build-isolation --no-deps --no-input -e .
}

# Whether Python has the module $1; its folder. Neither imports it.
has() {
  "$python" -c 'import importlib.util as u, sys; sys.exit(not u.find_spec(sys.argv[1]))' "$1"
}
folder() {
  "$python" -c 'import importlib.util as u, sys; print(*u.find_spec(sys.argv[1]).submodule_search_locations)' "$1"
}

# Where pip cannot install (setuptools before 77 cannot read pyproject.toml): CMake alone, into a
# folder $site that holds what an installation does. Without pybind11 it lacks the C++ engine, which
# the sampler's benchmark needs.
build_here() {
  local options=(-DCMAKE_BUILD_TYPE=Release "-DPython_EXECUTABLE=$python" "-DMAS_FAST_CUDA=$MAS_FAST_CUDA"
    -DMAS_FAST_TORCH=ON "-DMAS_FAST_TORCH_DIR=$(folder torch)")
  if has pybind11; then
    options+=(-DMAS_FAST_ENGINE=ON "-Dpybind11_DIR=$(folder pybind11)/share/cmake/pybind11")
  else
    echo "no pybind11: the C++ engine is not built"
  fi
  if command -v ninja; then options+=(-G Ninja); fi
  cmake -S . -B "$site/build" "${options[@]}" && cmake --build "$site/build" --parallel &&
    cmake --install "$site/build" --prefix "$site/mas_fast" --strip
}

export -f machine build_pip build_here has folder
export python
export PYTHONUNBUFFERED=1

step machine 60 bash -c machine || true
before=$failed
if ! step build 240 bash -c build_pip; then
  site=$(mktemp -d)
  export site
  trap 'rm -rf "$site"' EXIT
  mkdir "$site/mas_fast"
  tar -c -C mas_fast --exclude='*.so' --exclude=./kernels . | tar -x -C "$site/mas_fast"
  cp -r kernels "$site/mas_fast"
  ln -s "$PWD"/{benchmarks,configs,docs,examples,pyproject.toml,scripts,tests} "$site"
  # A build that fails leaves the Python code: the Triton kernels are still checked.
  step build_here 240 bash -c build_here && failed=$before
  cd "$site" && export PYTHONPATH="$site${PYTHONPATH:+:$PYTHONPATH}"
fi

step info 60 "$python" -c 'from mas_fast import info; print(info.render(info.collect()))' || true
pytest=("$python" -m pytest -k cuda -q -rs --continue-on-collection-errors)
if has pytest_timeout; then pytest+=(--timeout=110); fi
if has pytest; then
  step tests 150 "${pytest[@]}" tests || true
else
  skip tests "found no pytest"
  failed=1
fi
sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda/bin/compute-sanitizer 2>/dev/null)
if ! has pytest; then
  skip sanitizer "found no pytest"
elif [ -n "$sanitizer" ]; then
  step sanitizer 120 "$sanitizer" --tool memcheck --error-exitcode 9 --target-processes all \
    "${pytest[@]}" -x tests/ops/test_functional_sampling{,_arguments}.py || true
else
  skip sanitizer "found no compute-sanitizer"
fi
step sampler 60 "$python" -m benchmarks sampler --json "$out/gpu_check.json" || true
step attention 100 "$python" -m benchmarks attention --json "$out/gpu_check.json" || true
step cross_entropy 80 "$python" -m benchmarks cross_entropy --json "$out/gpu_check.json" || true
step vq 60 "$python" -m benchmarks vq --json "$out/gpu_check.json" || true
step training 140 "$python" -m benchmarks training --json "$out/gpu_check.json" || true

cat "$summary"
exit "$failed"
