#!/usr/bin/env bash
# Makes, on a machine with package registries, a folder to carry to a machine with a GPU and without
# them: wheels of the peers and of what its Python may lack, and, where there are nvcc and a Python of
# its version, the native libraries. gpu_check.sh uses the folder gpu_pack/ in the checkout.
#
#   benchmarks/gpu_pack.sh                                  # for Python 3.12 and torch 2.11.0, into gpu_pack/
#   TORCH=2.13.0 PYTHON=3.13 benchmarks/gpu_pack.sh FOLDER
#
# Downloads the wheel of that torch too (half a gigabyte or more), for its headers and libraries; the
# libraries that are built run with it and with newer ones. TMPDIR needs 4 GB.
set -euo pipefail
cd "$(dirname "$0")/.."
torch=${TORCH:-2.11.0} version=${PYTHON:-3.12} limit=40 # MB
pack=$(realpath -m "${1:-gpu_pack}")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1
unset PIP_CONSTRAINT

# The peers, what they need beside torch and triton, and what mas_fast needs that not every machine
# with torch has. FlashInfer and FlashAttention 4 do not fit.
wheels=(liger-kernel flash-kmeans vector-quantize-pytorch einx einops torch-einops-utils loguru
  frozendict simplejpeg)

platforms=()
for glibc in 2_28 2_27 2_24 2_17 2_12 2_5; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
for name in 2014 2010 1; do platforms+=(--platform "manylinux${name}_x86_64"); done
# get FOLDER REQUIREMENT...: wheels for that Python on x86-64, and nothing that they need
get() {
  python3 -m pip download --quiet --no-deps --only-binary=:all: --implementation cp \
    --python-version "$version" "${platforms[@]}" -d "$@"
}

mkdir "$work/pack"
for name in "${wheels[@]}"; do
  get "$work/pack" "$name" || echo "not there for Python $version: $name"
done

interpreter=''
for one in "python$version" "${PYENV_ROOT:-$HOME/.pyenv}/versions/$version".*/bin/python; do
  if "$one" -c 'import venv' 2>/dev/null; then interpreter=$one; fi
done
nvcc=$(command -v nvcc || ls "${CUDA_HOME:-/usr/local/cuda}/bin/nvcc" 2>/dev/null || true)
if [ -n "$interpreter" ] && [ -n "$nvcc" ]; then
  get "$work" "torch==$torch"
  # Of the wheel what a build reads; `torch` is never imported.
  python3 - "$work"/torch-*.whl "$work" <<'PYTHON'
import sys
import zipfile

names = ("torch/include/", "torch/version.py", "torch/lib/libtorch_cpu.so", "torch/lib/libtorch_cuda.so")
with zipfile.ZipFile(sys.argv[1]) as wheel:
    wheel.extractall(sys.argv[2], [name for name in wheel.namelist() if name.startswith(names)])
PYTHON
  rm "$work"/torch-*.whl
  "$interpreter" -m venv "$work/venv"
  "$work/venv/bin/pip" install --quiet cmake ninja pybind11
  PATH=$work/venv/bin:$PATH
  # The compiler's own libraries may be older there; their symbols must not meet those of torch's.
  export CUDACXX=$nvcc LDFLAGS="-static-libgcc -static-libstdc++ -Wl,--exclude-libs,ALL"
  cmake -S . -B "$work/build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DMAS_FAST_ENGINE=ON -DMAS_FAST_TORCH=ON \
    -DMAS_FAST_CUDA=1 "-DPython_EXECUTABLE=$work/venv/bin/python" "-DMAS_FAST_TORCH_DIR=$work/torch" \
    "-Dpybind11_DIR=$("$work/venv/bin/python" -m pybind11 --cmakedir)"
  cmake --build "$work/build"
  cmake --install "$work/build" --prefix "$work/pack" --strip
else
  echo "found ${interpreter:-no Python $version} and ${nvcc:-no nvcc}: no native libraries in the pack"
fi

git rev-parse HEAD >"$work/pack/commit"
size=$(du -sm "$work/pack" | cut -f 1)
if [ "$size" -gt "$limit" ]; then
  echo "error: the pack has $size MB, expected at most $limit" >&2
  exit 1
fi
rm -rf "$pack"
mv "$work/pack" "$pack"
ls -l "$pack"
echo "$size MB in $pack"
