#!/usr/bin/env bash
# Compiles the CUDA sources and links _torch.so for a given torch, where there is no GPU, no CUDA
# toolkit and no CUDA build of torch:
#   scripts/check_cuda_build.sh --torch 2.11.0
#   scripts/check_cuda_build.sh --torch 2.14.1 --cuda 13.0
# The headers and libraries of torch, and nvcc where CUDA_HOME names none, are unpacked from wheels
# and not installed; --cuda is the version of nvcc, by default the one that torch was built with.
# A symbol that torch's libraries lack is an error. Needs cmake, ninja and a C++ compiler. TMPDIR
# says where all goes; it needs 3 GB, and 800 MB are downloaded (PIP_FIND_LINKS: wheels at hand).
set -euo pipefail
cd "$(dirname "$0")/.."

usage() { sed -n '2,9s/^# \{0,1\}//p' "$0"; exit "${1:-0}"; }
torch='' cuda=''
while [ $# -gt 0 ]; do
  case $1 in
    --torch) torch=${2-}; shift 2 || usage 2 ;;
    --cuda) cuda=${2-}; shift 2 || usage 2 ;;
    -h | --help) usage ;;
    *) echo "error: found $1, expected --torch VERSION or --cuda VERSION" >&2; exit 2 ;;
  esac
done
if ! [[ $torch =~ ^[0-9]+\.[0-9]+\.[0-9]+$ ]]; then
  echo "error: --torch: found '$torch', expected a version such as 2.11.0" >&2; exit 2
fi
if ! [[ ${cuda:-13.0} =~ ^[0-9]+\.[0-9]+$ ]]; then
  echo "error: --cuda: found '$cuda', expected a version such as 13.0" >&2; exit 2
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset PYTHONPATH
export PIP_DISABLE_PIP_VERSION_CHECK=1
python=$(command -v "${PYTHON:-python3}")

# unpack FOLDER REQUIREMENT...: what the wheels hold, without what they depend on
unpack() {
  "$python" -m pip install --quiet --no-deps --no-compile --only-binary :all: --target "$@"
}

unpack "$work/torch" "torch==$torch"
cuda=${cuda:-$(sed -n "s/^cuda[^=]*= '\(.*\)'$/\1/p" "$work/torch/torch/version.py")}
if [ -z "$cuda" ]; then
  echo "error: the wheel of torch $torch is a CPU build; expected one with CUDA" >&2; exit 1
fi
if [ -z "${CUDA_HOME:-}" ]; then
  if [ "${cuda%%.*}" -lt 13 ]; then # whose wheels are laid out otherwise
    echo "error: found CUDA $cuda, expected 13.0 or later, or CUDA_HOME" >&2; exit 1
  fi
  unpack "$work/cuda" nvidia-cuda-{nvcc,runtime,cccl,crt}=="$cuda.*" nvidia-nvvm=="$cuda.*"
  CUDA_HOME=$work/cuda/nvidia/cu${cuda%%.*}
  ln -s lib "$CUDA_HOME/lib64" # where CMake and nvcc look
  (cd "$CUDA_HOME/lib" && ln -s libcudart.so.* libcudart.so)
fi
export CUDA_HOME
unset CUDA_PATH
"$CUDA_HOME/bin/nvcc" --version | tail -2

cmake -S . -B "$work/build" -G Ninja -DMAS_FAST_TORCH=ON -DMAS_FAST_CUDA=1 \
  -DMAS_FAST_TORCH_DIR="$work/torch/torch" -DCMAKE_MODULE_LINKER_FLAGS=-Wl,--no-undefined
cmake --build "$work/build" --target cuda_check _torch
echo "csrc/cuda compiles and _torch.so links: torch $torch, nvcc of CUDA $cuda"
