// A 3x3 convolution, zero outside, over the one-hot channels of label maps, which are never built:
// each pixel is the sum of ten rows of a table (see LabelMaps), chosen by the nine labels and by
// the nine edge bits around it. mas_fast/ops/reference/label_conv.py is the definition.
#pragma once

#include <cstdint>
#include <vector>

#include "isa.h"
#include "label_conv_rows.h"

namespace mas {

// weight [outputs, count (+ 1 for the edges), 3, 3] with strides in elements, and bias [outputs].
struct LabelWeights {
  const float* weight;
  int64_t strides[4];
  const float* bias;
  int outputs;
};

// The table, [table_rows, outputs].
std::vector<float> label_table(const LabelMaps& maps, const LabelWeights& weights);

// Lines first..last-1 of out [images * height, width, outputs].
void label_conv(const LabelMaps& maps, const float* table, int outputs, int64_t first, int64_t last,
                float* out, Isa isa);

// The gradients of the weights, contiguous, and of the bias, of outputs first..last-1, for grad
// [images * height, width, outputs]: added up in fp64 in the order of the pixels.
void label_conv_backward(const LabelMaps& maps, const float* grad, int outputs, int first, int last,
                         float* weight, float* bias, Isa isa);

}  // namespace mas
