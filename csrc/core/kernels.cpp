// One instruction set's kernels: compiled once for each level, with that level's flags and
// MAS_ISA=<its name>. Nothing here may call an inline function or template of another header that
// is not MAS_INLINE: the linker keeps one copy of such a function, and it might keep the one with
// instructions that the processor lacks.
#include "kernels.h"

#include "quantize.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(MAS_NEON)
#include <arm_neon.h>
#endif

namespace mas::MAS_ISA {
namespace {

#include "vec.inl"
//
#include "linear.inl"
//
#if defined(__AMX_INT8__)
#include "tiles.inl"
#else
int tile_rows(DType, int) { return 0; }
#endif
//
#include "elementwise.inl"
//
#include "attention.inl"

void linear(const Packed& weights, const PreparedRows& rows, int count, const float* bias,
            Epilogue epilogue, float* out, ptrdiff_t stride, int first, int last) {
  const Linear task{weights, rows, bias, epilogue, out, stride};
#if defined(__AMX_INT8__)
  if (rows.tile) return linear_tiles(task, count, first, last);
#endif
  linear_vectors(task, count, first, last);
}

float sum(const char* data, size_t bytes) {
  VFloat sums[8] = {};
  for (size_t at = 0; at + sizeof sums <= bytes; at += sizeof sums)
    for (int i = 0; i < 8; ++i) sums[i] += load<VFloat>(data + at + sizeof sums[0] * i);
  for (int i = 1; i < 8; ++i) sums[0] += sums[i];
  return sum(sums[0]);
}

}  // namespace

extern const Kernels table = {layer_norm, rms_norm, tile_rows, prepare,
                              linear,     append,   attend,    sum};

}  // namespace mas::MAS_ISA
