// One instruction set's kernels: compiled once for each level, with that level's flags and
// MAS_ISA=<its name>. Nothing here may call an inline function or template of another header that
// is not MAS_INLINE: the linker keeps one copy of such a function, and it might keep the one with
// instructions that the processor lacks.
#include "kernels.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

namespace mas::MAS_ISA {
namespace {

#include "vec.inl"
//
#include "linear.inl"
//
#include "elementwise.inl"
//
#include "attention.inl"

float sum(const char* data, size_t bytes) {
  VFloat sums[8] = {};
  for (size_t at = 0; at + sizeof sums <= bytes; at += sizeof sums)
    for (int i = 0; i < 8; ++i) sums[i] += load<VFloat>(data + at + sizeof sums[0] * i);
  for (int i = 1; i < 8; ++i) sums[0] += sums[i];
  return sum(sums[0]);
}

}  // namespace

extern const Kernels table = {layer_norm, rms_norm, prepare, linear, append, attend, sum};

}  // namespace mas::MAS_ISA
