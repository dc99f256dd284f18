#include "packed.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "quantize.h"

namespace mas {

namespace {

constexpr DType kDTypes[] = {DType::fp32, DType::bf16, DType::int8, DType::int4};
constexpr const char* kNames[] = {"fp32", "bf16", "int8", "int4"};

void refuse(const char* what, int row, int column, double found, const char* expected) {
  throw std::invalid_argument(std::string(what) + " [" + std::to_string(row) + ", " +
                              std::to_string(column) + "]: found " + std::to_string(found) +
                              ", expected " + expected);
}

// A weight of a source; 0 outside.
float weight_at(const Packed& shape, const Source& source, int row, int column) {
  if (row >= shape.outputs || column >= shape.inputs) return 0;
  const float weight = source.at(size_t(row) * shape.inputs + column);
  if (!std::isfinite(weight)) refuse("weight", row, column, weight, "a finite number");
  return weight;
}

// Finds the levels of the kGroup weights of a row from `first` on, and returns their scale.
uint16_t group_at(const Packed& shape, const Source& source, int row, int first, int8_t* levels) {
  float weights[kGroup];
  for (int i = 0; i < kGroup; ++i) weights[i] = weight_at(shape, source, row, first + i);
  return quantize_group(shape.dtype, weights, levels);
}

uint16_t group_at(const Packed& shape, const Levels& source, int row, int first, int8_t* levels) {
  const bool is_int4 = shape.dtype == DType::int4;
  std::fill(levels, levels + kGroup, is_int4 ? 1 : 0);  // the level nearest to zero
  if (row >= shape.outputs) return 0;
  for (int i = 0; i < kGroup && first + i < shape.inputs; ++i) {
    levels[i] = source.levels[size_t(row) * shape.inputs + first + i];
    if (is_int4 ? int4_index(levels[i]) < 0 : levels[i] == -128)
      refuse("level", row, first + i, levels[i], is_int4 ? "one of int4" : "-127 to 127");
  }
  const size_t groups = ceil_div(shape.inputs, kGroup);
  const uint16_t scale = source.scales[row * groups + first / kGroup];
  if (!std::isfinite(from_bf16(scale)))
    refuse("scale", row, first / kGroup, from_bf16(scale), "a finite number");
  return scale;
}

// Writes the levels of one output into a group of its panel.
void place(DType dtype, int output, const int8_t* levels, char* group) {
  auto* bytes = reinterpret_cast<uint8_t*>(group + kScaleBytes) + output * 4;
  for (int i = 0; i < kGroup; ++i) {
    const int step = i / 4;
    if (dtype == DType::int8)
      bytes[step * kStepBytes + i % 4] = uint8_t(levels[i] + 128);
    else
      bytes[step / 2 * kStepBytes + i % 4] |= uint8_t(int4_index(levels[i]) << step % 2 * 4);
  }
}

template <class From>
void pack_groups(const Packed& shape, const From& source, char* out) {
  std::memset(out, 0, shape.bytes());
  for (int panel = 0; panel < shape.panels(); ++panel)
    for (int first = 0; first < shape.inputs; first += kGroup) {
      for (int output = 0; output < kPanel; ++output) {
        int8_t levels[kGroup];
        const uint16_t scale = group_at(shape, source, panel * kPanel + output, first, levels);
        std::memcpy(out + 2 * output, &scale, 2);
        place(shape.dtype, output, levels, out);
      }
      out += group_bytes(shape.dtype);
    }
}

}  // namespace

const char* dtype_name(DType dtype) { return kNames[int(dtype)]; }

DType parse_dtype(std::string_view name) {
  std::string known;
  for (DType dtype : kDTypes) {
    if (name == dtype_name(dtype)) return dtype;
    known += (known.empty() ? "" : ", ") + std::string(dtype_name(dtype));
  }
  throw std::invalid_argument("dtype: found '" + std::string(name) + "', expected one of " + known);
}

void pack(const Packed& shape, const Source& source, char* out) {
  if (is_quantized(shape.dtype)) return pack_groups(shape, source, out);
  const int unit = inputs_per_step(shape.dtype);
  for (int panel = 0; panel < shape.panels(); ++panel)
    for (int first = 0; first < shape.inputs; first += unit, out += kStepBytes)
      for (int output = 0; output < kPanel; ++output)
        for (int i = 0; i < unit; ++i) {
          const float weight = weight_at(shape, source, panel * kPanel + output, first + i);
          if (shape.dtype == DType::fp32)
            reinterpret_cast<float*>(out)[output] = weight;
          else
            reinterpret_cast<uint16_t*>(out)[2 * output + i] = to_bf16(weight);
        }
}

void pack(const Packed& shape, const Levels& source, char* out) { pack_groups(shape, source, out); }

void quantize(const Packed& shape, const Source& source, int8_t* levels, uint16_t* scales) {
  for (int row = 0; row < shape.outputs; ++row)
    for (int first = 0; first < shape.inputs; first += kGroup) {
      int8_t group[kGroup];
      *scales++ = group_at(shape, source, row, first, group);
      levels = std::copy_n(group, std::min(kGroup, shape.inputs - first), levels);
    }
}

}  // namespace mas
