#include "label_conv.h"

#include <algorithm>
#include <bit>

namespace mas {

std::vector<float> label_table(const LabelMaps& maps, const LabelWeights& weights) {
  const size_t outputs = weights.outputs;
  const auto at = [&](int64_t output, int64_t channel, int tap) {
    return weights.weight[output * weights.strides[0] + channel * weights.strides[1] +
                          tap / 3 * weights.strides[2] + tap % 3 * weights.strides[3]];
  };
  std::vector<float> table(maps.table_rows() * outputs);
  float* row = table.data();
  for (int tap = 0; tap < kLabelTaps; ++tap, row += outputs)  // the zeros of void
    for (int label = 0; label < maps.count; ++label, row += outputs)
      for (size_t i = 0; i < outputs; ++i) row[i] = at(i, label, tap);
  std::copy_n(weights.bias, outputs, row);
  const int patterns = maps.has_edges ? kEdgePatterns : 1;
  for (int pattern = 1; pattern < patterns; ++pattern) {  // that without its highest bit is known
    const int tap = std::bit_width(unsigned(pattern)) - 1;
    const float* known = row + (pattern - (1 << tap)) * outputs;
    for (size_t i = 0; i < outputs; ++i)
      row[pattern * outputs + i] = known[i] + at(i, maps.count, tap);
  }
  return table;
}

void label_conv(const LabelMaps& maps, const float* table, int outputs, int64_t first, int64_t last,
                float* out, Isa isa) {
  const LabelConvRows& rows = MAS_CHOOSE(isa, label_conv_rows);
  std::vector<int32_t> scratch(maps.scratch_values());
  for (int64_t line = first; line < last; ++line)
    rows.forward(maps, line, table, outputs, scratch.data(), out + line * maps.width * outputs);
}

void label_conv_backward(const LabelMaps& maps, const float* grad, int outputs, int first, int last,
                         float* weight, float* bias, Isa isa) {
  const LabelConvRows& rows = MAS_CHOOSE(isa, label_conv_rows);
  const int count = last - first;
  std::vector<int32_t> scratch(maps.scratch_values());
  std::vector<double> sums(size_t(maps.table_rows()) * count);
  for (int64_t line = 0; line < maps.lines; ++line)
    rows.backward(maps, line, grad + line * maps.width * outputs, outputs, first, last,
                  scratch.data(), sums.data());

  const int channels = maps.count + maps.has_edges;
  const int patterns = maps.has_edges ? kEdgePatterns : 1;
  const double* pattern_sums = sums.data() + size_t(kLabelTaps) * (maps.count + 1) * count;
  for (int i = 0; i < count; ++i) {
    float* to = weight + size_t(first + i) * channels * kLabelTaps;
    for (int label = 0; label < maps.count; ++label)
      for (int tap = 0; tap < kLabelTaps; ++tap)
        *to++ = float(sums[(size_t(tap) * (maps.count + 1) + label) * count + i]);
    double all = 0, edge[kLabelTaps] = {};
    for (int pattern = 0; pattern < patterns; ++pattern) {
      const double sum = pattern_sums[size_t(pattern) * count + i];
      all += sum;
      for (int tap = 0; tap < kLabelTaps; ++tap)
        if (pattern >> tap & 1) edge[tap] += sum;
    }
    bias[first + i] = float(all);
    if (maps.has_edges)
      for (double sum : edge) *to++ = float(sum);
  }
}

}  // namespace mas
