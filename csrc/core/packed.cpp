#include "packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>
#include <string>

namespace mas {

namespace {

// The sum of (weight - level * scale)^2 over a group.
float group_error(const float* weights, float scale) {
  const float inverse = 1 / scale;
  float sums[8] = {};  // eight, so that the compiler uses vectors
  for (int i = 0; i < kGroup; i += 8)
    for (int lane = 0; lane < 8; ++lane) {
      const float level = (weights[i + lane] * inverse + kRounder) - kRounder;
      const float error = weights[i + lane] - level * scale;
      sums[lane] += error * error;
    }
  float total = 0;
  for (float sum : sums) total += sum;
  return total;
}

// The bfloat16 scale of a group. The smallest one that holds its largest weight is tried first; but
// 32 weights fit the levels of one scale better than those of another, and the best of nine
// neighbours has a 19% lower squared error on normal weights.
uint16_t group_scale(const float* weights) {
  constexpr int kTried = 9;
  float largest = 127 * std::numeric_limits<float>::min();  // so that 1 / scale is finite
  for (int i = 0; i < kGroup; ++i) largest = std::max(largest, std::fabs(weights[i]));
  uint16_t first = to_bf16(largest / 127);
  if (from_bf16(first) * 127 < largest) ++first;
  uint16_t best = first;
  float least = group_error(weights, from_bf16(first));
  for (uint16_t scale = first + 1; scale < first + kTried; ++scale) {
    const float error = group_error(weights, from_bf16(scale));
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  return best;
}

// The 32 scales and 1024 bytes of one int8 group.
void pack_group(const float* weights, char* out) {
  auto* bytes = reinterpret_cast<uint8_t*>(out + kScaleBytes);
  for (int output = 0; output < kPanel; ++output) {
    const float* row = weights + output * kGroup;
    const uint16_t scale = group_scale(row);
    std::memcpy(out + 2 * output, &scale, 2);
    const float inverse = 1 / from_bf16(scale);
    for (int i = 0; i < kGroup; ++i) {
      const int level = static_cast<int>((row[i] * inverse + kRounder) - kRounder);
      bytes[i / 4 * kStepBytes + output * 4 + i % 4] = static_cast<uint8_t>(level + 128);
    }
  }
}

}  // namespace

const char* dtype_name(DType dtype) {
  return dtype == DType::fp32 ? "fp32" : dtype == DType::bf16 ? "bf16" : "int8";
}

DType parse_dtype(std::string_view name) {
  for (DType dtype : {DType::fp32, DType::bf16, DType::int8})
    if (name == dtype_name(dtype)) return dtype;
  throw std::invalid_argument("dtype: found '" + std::string(name) +
                              "', expected one of fp32, bf16, int8");
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
                                        std::to_string(column) + "]: found " +
                                        std::to_string(weight) + ", expected a finite number");
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
