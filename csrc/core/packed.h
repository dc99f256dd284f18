// The layout that every matrix product here reads: panels of 32 outputs, walked once from front to
// back.
//
// A panel holds 32 outputs; a step holds the next few inputs of all 32, 128 bytes in every type:
//   fp32  1 input :  float    [32]
//   bf16  2 inputs:  uint16_t [32][2]
//   int8  4 inputs:  uint8_t  [32][4], the level plus 128 (VNNI wants one operand unsigned)
//   int4  4 + 4:     uint8_t  [32][4], indices of levels (quantize.h): those of one step in the
//                    lower halves of the bytes, those of the next step in the upper ones
// Packed int8 and int4 weights have a line of 32 bf16 scales before the 8 steps of every 32 inputs;
// so a weight is level * scale, 8.5 or 4.5 bits in all. Inputs are padded with zero weights to
// whole steps (int8, int4: whole groups, where activations are zeros).
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

enum class DType { fp32, bf16, int8, int4 };

const char* dtype_name(DType dtype);
// Throws std::invalid_argument naming the types that exist.
DType parse_dtype(std::string_view name);

inline constexpr int kPanel = 32;       // outputs in a panel
inline constexpr int kStepBytes = 128;  // bytes in a step of any type
inline constexpr int kGroup = 32;       // inputs that share a scale
inline constexpr int kScaleBytes = 2 * kPanel;

MAS_INLINE constexpr int inputs_per_step(DType dtype) {
  return dtype == DType::fp32 ? 1 : dtype == DType::bf16 ? 2 : 4;
}
// Whether weights of this type are levels in groups with scales.
MAS_INLINE constexpr bool is_quantized(DType dtype) {
  return dtype == DType::int8 || dtype == DType::int4;
}
// The scales and the levels of 32 inputs of a panel.
MAS_INLINE constexpr int group_bytes(DType dtype) {
  return kScaleBytes + kGroup / (dtype == DType::int4 ? 8 : 4) * kStepBytes;
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
    return is_quantized(dtype) ? size_t(ceil_div(inputs, kGroup)) * group_bytes(dtype)
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

// A row-major source matrix that is quantized: levels [outputs, inputs] and bf16 scales [outputs,
// groups of 32 inputs].
struct Levels {
  const int8_t* levels;
  const uint16_t* scales;
};

// Writes the panels of `source` [shape.outputs, shape.inputs] to `out` (shape.bytes() bytes).
// Throws std::invalid_argument when a weight is not finite.
void pack(const Packed& shape, const Source& source, char* out);

// The same for a quantized type and levels as they are. Throws std::invalid_argument for a level
// that the type does not have, and for a scale that is not finite.
void pack(const Packed& shape, const Levels& source, char* out);

// The levels [shape.outputs, shape.inputs] and scales [shape.outputs, groups] that pack() finds.
void quantize(const Packed& shape, const Source& source, int8_t* levels, uint16_t* scales);

}  // namespace mas
