// Panels of quantized weights: where each level lies, and which weights and levels are refused.
#include "core/packed.h"

#include <cmath>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.h"
#include "core/quantize.h"

namespace {

using mas::DType;
using mas::Packed;

struct Matrix {
  std::vector<float> values;
  std::vector<int8_t> levels;
  std::vector<uint16_t> scales;
};

// Normal weights, and the levels that are found for them.
Matrix random_matrix(const Packed& shape) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.02f);
  Matrix matrix;
  for (int i = 0; i < shape.outputs * shape.inputs; ++i) matrix.values.push_back(normal(random));
  matrix.levels.resize(matrix.values.size());
  matrix.scales.resize(size_t(shape.outputs) * mas::ceil_div(shape.inputs, mas::kGroup));
  mas::quantize(shape, {matrix.values.data(), false}, matrix.levels.data(), matrix.scales.data());
  return matrix;
}

// The weight that a panel holds, by the description in packed.h.
float packed_weight(const Packed& shape, const char* data, int row, int column) {
  const char* group = data + row / mas::kPanel * shape.panel_bytes() +
                      size_t(column / mas::kGroup) * mas::group_bytes(shape.dtype);
  const int output = row % mas::kPanel, step = column % mas::kGroup / 4;
  uint16_t scale;
  __builtin_memcpy(&scale, group + 2 * output, 2);
  const auto* bytes = reinterpret_cast<const uint8_t*>(group + mas::kScaleBytes) + 4 * output;
  const int at = column % 4;
  int level;
  if (shape.dtype == DType::int8)
    level = bytes[step * mas::kStepBytes + at] - 128;
  else
    level = mas::kInt4Levels[bytes[step / 2 * mas::kStepBytes + at] >> step % 2 * 4 & 15];
  return float(level) * mas::from_bf16(scale);
}

void test_layout(const Packed& shape) {
  const Matrix matrix = random_matrix(shape);
  std::vector<char> packed(shape.bytes()), same(shape.bytes());
  mas::pack(shape, mas::Source{matrix.values.data(), false}, packed.data());
  mas::pack(shape, mas::Levels{matrix.levels.data(), matrix.scales.data()}, same.data());
  const int groups = mas::ceil_div(shape.inputs, mas::kGroup);
  double error = 0, power = 0;
  bool stored = true;
  for (int row = 0; row < shape.outputs; ++row)
    for (int column = 0; column < shape.inputs; ++column) {
      const size_t at = size_t(row) * shape.inputs + column;
      const float weight = packed_weight(shape, packed.data(), row, column);
      const uint16_t scale = matrix.scales[size_t(row) * groups + column / mas::kGroup];
      stored = stored && weight == float(matrix.levels[at]) * mas::from_bf16(scale);
      stored = stored && weight == packed_weight(shape, same.data(), row, column);
      error += std::pow(matrix.values[at] - weight, 2);
      power += std::pow(matrix.values[at], 2);
    }
  CHECK(stored);
  CHECK(std::sqrt(error / power) < (shape.dtype == DType::int8 ? 0.006 : 0.076));
}

// The levels of a group of these weights, times their scale.
std::vector<float> quantized(DType dtype, std::vector<float> weights) {
  weights.resize(mas::kGroup);
  int8_t levels[mas::kGroup];
  const float scale = mas::from_bf16(mas::quantize_group(dtype, weights.data(), levels));
  for (int i = 0; i < mas::kGroup; ++i) weights[i] = float(levels[i]) * scale;
  return weights;
}

void test_groups() {
  for (const DType dtype : {DType::int8, DType::int4}) {
    for (const float zero : quantized(dtype, {})) CHECK(zero == 0);
    for (const float size : {1e-30f, 1.0f, 3e38f})
      for (const float sign : {-1.0f, 1.0f}) {
        const auto found = quantized(dtype, {sign * size, sign * size / 2});
        CHECK_NEAR(found[0] / (sign * size), 1, 0.1);
        CHECK_NEAR(found[1] / (sign * size), 0.5, 0.1);
      }
  }
  // What is a multiple of the levels is found exactly, either way round.
  std::vector<float> exact(mas::kGroup);
  for (const float scale : {0.5f, -0.5f}) {
    for (int i = 0; i < mas::kGroup; ++i) exact[i] = scale * mas::kInt4Levels[i % 16];
    const auto found = quantized(DType::int4, exact);
    for (int i = 0; i < mas::kGroup; ++i) CHECK_NEAR(found[i], exact[i], 1e-6);
  }
}

void test_refusals() {
  const Packed shape{DType::int4, 3, 40};
  Matrix matrix = random_matrix(shape);
  std::vector<char> packed(shape.bytes());
  const auto pack_levels = [&] {
    mas::pack(shape, mas::Levels{matrix.levels.data(), matrix.scales.data()}, packed.data());
  };
  pack_levels();
  matrix.levels[5] = 2;  // no level of int4
  CHECK_THROWS(pack_levels(), std::invalid_argument);
  matrix.levels[5] = 1;
  matrix.scales[1] = 0x7f80;  // infinity
  CHECK_THROWS(pack_levels(), std::invalid_argument);
  for (const float bad : {INFINITY, -INFINITY, NAN}) {
    matrix.values[7] = bad;
    const mas::Source source{matrix.values.data(), false};
    CHECK_THROWS(mas::pack(shape, source, packed.data()), std::invalid_argument);
  }
}

}  // namespace

int main() {
  for (const DType dtype : {DType::int8, DType::int4})
    for (const auto& [outputs, inputs] : {std::pair{64, 64}, {33, 45}, {1, 1}, {70, 97}, {32, 28}})
      test_layout({dtype, outputs, inputs});
  test_groups();
  test_refusals();
  return check::finish();
}
