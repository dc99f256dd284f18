#include "packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

namespace mas {

namespace {

// The 32 scales and 1024 bytes of one int8 group. The scale is rounded up to bfloat16 before the
// weights are divided by it, so its rounding costs range (at most 1/128 of a step), never accuracy.
void pack_group(const float* weights, char* out) {
  uint16_t scales[kPanel];
  auto* bytes = reinterpret_cast<uint8_t*>(out + kScaleBytes);
  for (int output = 0; output < kPanel; ++output) {
    const float* row = weights + output * kGroup;
    float largest = 0;
    for (int i = 0; i < kGroup; ++i) largest = std::max(largest, std::fabs(row[i]));
    uint16_t scale = to_bf16(largest / 127);
    if (from_bf16(scale) * 127 < largest) ++scale;
    scales[output] = scale;
    const float step = from_bf16(scale);
    for (int i = 0; i < kGroup; ++i) {
      const int level = step > 0 ? static_cast<int>(std::nearbyint(row[i] / step)) : 0;
      bytes[i / 4 * kStepBytes + output * 4 + i % 4] = static_cast<uint8_t>(level + 128);
    }
  }
  std::memcpy(out, scales, sizeof scales);
}

}  // namespace

const char* dtype_name(DType dtype) {
  return dtype == DType::fp32 ? "fp32" : dtype == DType::bf16 ? "bf16" : "int8";
}

DType parse_dtype(std::string_view name) {
  for (DType dtype : {DType::fp32, DType::bf16, DType::int8})
    if (name == dtype_name(dtype)) return dtype;
  throw std::invalid_argument("unknown type '" + std::string(name) +
                              "'; known are fp32, bf16, int8");
}

void pack(const Packed& shape, const Source& source, char* out) {
  const int unit = shape.dtype == DType::int8 ? kGroup : inputs_per_step(shape.dtype);
  const int inputs = round_up(shape.inputs, unit);
  float block[kPanel * kGroup];
  for (int panel = 0; panel < shape.panels(); ++panel)
    for (int first = 0; first < inputs; first += unit) {
      for (int output = 0; output < kPanel; ++output)
        for (int i = 0; i < unit; ++i) {
          const int row = panel * kPanel + output, column = first + i;
          const bool inside = row < shape.outputs && column < shape.inputs;
          const float weight = inside ? source.at(size_t(row) * shape.inputs + column) : 0.0f;
          if (!std::isfinite(weight))
            throw std::invalid_argument("weight [" + std::to_string(row) + ", " +
                                        std::to_string(column) + "] is " + std::to_string(weight) +
                                        "; weights must be finite");
          block[output * unit + i] = weight;
        }
      if (shape.dtype == DType::fp32) {
        std::memcpy(out, block, kStepBytes);
        out += kStepBytes;
      } else if (shape.dtype == DType::bf16) {
        auto* step = reinterpret_cast<uint16_t*>(out);
        for (int i = 0; i < 2 * kPanel; ++i) step[i] = to_bf16(block[i]);
        out += kStepBytes;
      } else {
        pack_group(block, out);
        out += kGroupBytes;
      }
    }
}

}  // namespace mas
