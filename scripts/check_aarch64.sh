#!/usr/bin/env bash
# The C++ core on aarch64, where there is no such processor: builds it, its tests and _engine with
# Debian's cross compiler, runs the tests under qemu-user and each level on a processor that has no
# more. Then counts the instructions of a token: with int8 and int4 weights the best level must need
# a third of those of the generic code, or less.
#   scripts/check_aarch64.sh
# Needs apt-get install g++-aarch64-linux-gnu qemu-user and pip install cmake ninja pybind11.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -eq 0 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0"; exit 2; }
for tool in aarch64-linux-gnu-g++ qemu-aarch64; do
  if ! command -v "$tool" >/dev/null; then
    echo "error: found no $tool; run: apt-get install g++-aarch64-linux-gnu qemu-user" >&2; exit 1
  fi
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export QEMU_LD_PREFIX=/usr/aarch64-linux-gnu # its libraries
export QEMU_CPU=max
programs=$work/build/tests/cpp

cmake -S . -B "$work/build" -G Ninja -DMAS_FAST_TESTS=ON -DMAS_FAST_ENGINE=ON \
  -DCMAKE_SYSTEM_NAME=Linux -DCMAKE_SYSTEM_PROCESSOR=aarch64 \
  -DCMAKE_CXX_COMPILER=aarch64-linux-gnu-g++ -DCMAKE_CROSSCOMPILING_EMULATOR=qemu-aarch64 \
  -Dpybind11_DIR="$(python3 -m pybind11 --cmakedir)" -DPython_EXECUTABLE="$(command -v python3)" \
  -DPython_INCLUDE_DIR="$(python3 -c 'import sysconfig; print(sysconfig.get_path("include"))')"
cmake --build "$work/build" --target all decode
# Without what has nothing of its own on a processor and takes minutes under an emulator.
ctest --test-dir "$work/build" -j 2 --output-on-failure --no-tests=error -E '^test_(run|cuda_sampler)$'

# level ISA CPU LEVELS: a level on a processor with these levels, and its tokens beside generic's
level() {
  export QEMU_CPU=$2
  local isa=$1 dtype found
  found=$(qemu-aarch64 "$programs/decode")
  if [ "$found" != "$3 " ]; then echo "error: $2: found levels $found, expected $3" >&2; exit 1; fi
  for dtype in bf16 int8 int4; do
    qemu-aarch64 "$programs/decode" "$isa" $dtype 24 >"$work/$isa.$dtype"
    # neon_i8mm adds up bfloat16 in an order of its own
    [ $isa.$dtype = neon_i8mm.bf16 ] || cmp "$work/generic.$dtype" "$work/$isa.$dtype"
  done
  qemu-aarch64 "$programs/test_resize"
}
level generic cortex-a57 "generic neon"
level neon cortex-a57 "generic neon"
level neon_dotprod cortex-a76 "generic neon neon_dotprod"
level neon_i8mm max "generic neon neon_dotprod neon_i8mm"

major=$(qemu-aarch64 --version | sed -n 's/.* version \([0-9]*\).*/\1/p')
cc -O2 -shared -fPIC -DVERSION=$((major < 9 ? 1 : 2)) tests/cpp/count_instructions.c \
  -o "$work/count.so"
# count ISA DTYPE POSITIONS: instructions of a decode, those before its first token too
count() { qemu-aarch64 -plugin "$work/count.so" "$programs/decode" "$@" 2>&1 >/dev/null; }
# of_token ISA DTYPE: instructions of one token
of_token() { echo $((($(count "$@" 56) - $(count "$@" 24)) / 32)); }
for dtype in fp32 bf16 int8 int4; do
  generic=$(of_token generic $dtype) best=$(of_token neon_i8mm $dtype)
  hundredths=$((100 * generic / best))
  printf '%s: %d instructions a token on generic, %d on neon_i8mm, %d.%02d times fewer\n' \
    $dtype "$generic" "$best" $((hundredths / 100)) $((hundredths % 100))
  if [[ $dtype = int* ]] && [ $hundredths -lt 300 ]; then
    echo "error: $dtype: expected 3 times fewer, or more" >&2; exit 1
  fi
done
