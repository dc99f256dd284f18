// The loops of label_conv.cpp, once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "packed.h"
#include "per_isa.h"

namespace mas {

inline constexpr int kLabelTaps = 9, kLabelRows = 10, kEdgePatterns = 512;

// A batch of label maps. `count` labels have a channel; all others are void.
struct LabelMaps {
  const uint8_t* labels;  // [images * height, width]
  const uint8_t* edges;   // the same, 0 or 1, where has_edges
  bool has_edges;         // not edges != nullptr, which an empty tensor has too
  int64_t lines;          // images * height
  int height, width, count;

  // The rows of the table: for each tap, the weights of each label and zeros for void; then the
  // bias plus the edge weights of each pattern of nine bits, or the bias alone.
  MAS_INLINE int table_rows() const {
    return kLabelTaps * (count + 1) + (has_edges ? kEdgePatterns : 1);
  }
  // int32_t: the rows of the table for each pixel of a line, and six padded lines.
  MAS_INLINE size_t scratch_values() const {
    return kLabelRows * size_t(width) + 6 * (size_t(width) + 2);
  }
};

struct LabelConvRows {
  // out [width, outputs] of one line: the sum of the ten rows of each pixel.
  void (*forward)(const LabelMaps& maps, int64_t line, const float* table, int outputs,
                  int32_t* scratch, float* out);
  // sums [table rows, last - first] += those outputs of grad [width, outputs].
  void (*backward)(const LabelMaps& maps, int64_t line, const float* grad, int outputs, int first,
                   int last, int32_t* scratch, double* sums);
};

MAS_DECLARE_PER_ISA(LabelConvRows, label_conv_rows)

}  // namespace mas
