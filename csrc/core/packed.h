// The layout that every matrix product here reads: panels of 32 outputs, walked once from front to
// back.
//
// A panel holds 32 outputs; a step holds the next few inputs of all 32, 128 bytes in every type:
//   fp32  1 input :  float    [32]
//   bf16  2 inputs:  uint16_t [32][2]
//   int8  4 inputs:  uint8_t  [32][4], the weight plus 128 (VNNI wants one operand unsigned)
// Packed int8 weights have a line of 32 bf16 scales before every 8 steps (32 inputs); so a weight
// is (byte - 128) * scale, 8.5 bits in all. Inputs are padded with zero weights to whole steps
// (int8: whole groups).
//
// The KV cache has the same layout without scales: a key panel has 32 positions for outputs and the
// head's channels for inputs, a value panel 32 channels for outputs and the positions for inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

// For helpers in headers: the linker must never choose a copy that was compiled for a newer
// processor.
#define MAS_INLINE __attribute__((always_inline)) inline

namespace mas {

enum class DType { fp32, bf16, int8 };

const char* dtype_name(DType dtype);
// Throws std::invalid_argument naming the types that exist.
DType parse_dtype(std::string_view name);

inline constexpr int kPanel = 32;       // outputs in a panel
inline constexpr int kStepBytes = 128;  // bytes in a step of any type
inline constexpr int kGroup = 32;       // inputs that share an int8 scale
inline constexpr int kScaleBytes = 2 * kPanel;
inline constexpr int kGroupBytes = kScaleBytes + kGroup / 4 * kStepBytes;

MAS_INLINE constexpr int inputs_per_step(DType dtype) {
  return dtype == DType::fp32 ? 1 : dtype == DType::bf16 ? 2 : 4;
}
MAS_INLINE constexpr int ceil_div(int value, int unit) { return (value + unit - 1) / unit; }
MAS_INLINE constexpr int round_up(int value, int unit) { return ceil_div(value, unit) * unit; }

// Added and subtracted, 1.5 * 2^23 rounds a number below 2^22 to the nearest integer, ties to even.
inline constexpr float kRounder = 12582912.0f;

MAS_INLINE uint16_t to_bf16(float value) {  // to nearest, ties to even; NaN stays NaN
  uint32_t bits;
  __builtin_memcpy(&bits, &value, 4);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}
MAS_INLINE float from_bf16(uint16_t value) {
  const uint32_t bits = uint32_t(value) << 16;
  float result;
  __builtin_memcpy(&result, &bits, 4);
  return result;
}

// A matrix [outputs, inputs] in panels; `data` is borrowed.
struct Packed {
  DType dtype = DType::fp32;
  int outputs = 0, inputs = 0;
  const char* data = nullptr;

  MAS_INLINE int panels() const { return ceil_div(outputs, kPanel); }
  MAS_INLINE size_t panel_bytes() const {
    return dtype == DType::int8 ? size_t(ceil_div(inputs, kGroup)) * kGroupBytes
                                : size_t(ceil_div(inputs, inputs_per_step(dtype))) * kStepBytes;
  }
  MAS_INLINE size_t bytes() const { return panels() * panel_bytes(); }
  MAS_INLINE const char* panel(int index) const { return data + index * panel_bytes(); }
};

// A row-major source matrix: float, or bfloat16 bits.
struct Source {
  const void* data;
  bool is_bf16;

  float at(size_t index) const {
    return is_bf16 ? from_bf16(static_cast<const uint16_t*>(data)[index])
                   : static_cast<const float*>(data)[index];
  }
};

// Writes the panels of `source` [shape.outputs, shape.inputs] to `out` (shape.bytes() bytes).
// Throws std::invalid_argument when a weight is not finite.
void pack(const Packed& shape, const Source& source, char* out);

}  // namespace mas
