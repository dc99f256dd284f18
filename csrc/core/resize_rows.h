// The loops of resize() over pixels, once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace mas {

struct ResizeRows {
  int lanes;  // the rows of a band: they lie side by side in a vector

  // line[i] = sum_k weights[k] * rows[k * stride + i] for i < count.
  void (*down)(const uint8_t* rows, ptrdiff_t stride, const float* weights, int taps, int count,
               float* line);

  // For the rows r < height <= lanes of a band, and x < width, of RGB triples:
  // out[r * stride + 3 x + c] = round(sum_k weights[x * taps + k] * lines[r][3 (first[x] + k) + c])
  // within 0..255. lines [lanes, size], size a multiple of lanes; scratch [size, lanes].
  void (*across)(const float* lines, int size, const int32_t* first, const float* weights, int taps,
                 int height, int width, float* scratch, uint8_t* out, ptrdiff_t stride);
};

#define MAS_DECLARE(level)             \
  namespace level {                    \
  extern const ResizeRows resize_rows; \
  }
MAS_DECLARE(generic)
#if defined(__x86_64__)
MAS_DECLARE(avx2)
MAS_DECLARE(avx512)
MAS_DECLARE(avx512_vnni)
MAS_DECLARE(avx512_bf16)
#endif
#undef MAS_DECLARE

}  // namespace mas
