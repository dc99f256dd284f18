// The loops of resize() over bytes, once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "per_isa.h"

namespace mas {

constexpr int kResizeLine = 64;  // bytes that a line of a buffer is a multiple of
constexpr int kResizeTile = 16;  // rows that a buffer is a multiple of
constexpr int kExactTaps = 16;   // more are summed in 32 bits

struct ResizeRows {
  // to[i] = from[i] * 128 for i < count.
  void (*widen)(const uint8_t* from, int count, int16_t* to);

  // out[i] = sum_k weights[k] * rows[k][i] / 2^21, rounded, within 0..255, for i < count, a
  // multiple of kResizeLine. The weights sum to 2^14. Up to kExactTaps taps, each product is
  // rounded to a 64th: an error below an eighth.
  void (*down)(const int16_t* const* rows, const int16_t* weights, int taps, int count,
               uint8_t* out);

  // to[c * to_stride + r] = from[r * from_stride + c] for r < rows, c < columns. Read are whole
  // lines and tiles, written is only what is asked for.
  void (*transpose)(const uint8_t* from, ptrdiff_t from_stride, int rows, int columns, uint8_t* to,
                    ptrdiff_t to_stride);
};

MAS_DECLARE_PER_ISA(ResizeRows, resize_rows)

}  // namespace mas
