// The nearest code of each row: argmin over k of |x - codebook[k]|^2 without the rows x codes
// matrix of distances, equal to the argmin of the distances in fp64 (summed in the order of the
// channels), ties to the lowest id. mas_fast/ops/reference/vq.py is the definition.
//
//   VqCodebook book(codes, count, channels, isa);
//   book.pack(0, book.panels());                 // or ranges of panels on several threads
//   if (book.finite()) book.nearest(x, rows, out);  // or ranges of rows on several threads
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

#include "isa.h"
#include "memory.h"
#include "vq_rows.h"

namespace mas {

class VqCodebook {
 public:
  // codes: [count, channels], borrowed. Throws std::invalid_argument for a shape out of range.
  VqCodebook(const float* codes, int64_t count, int64_t channels, Isa isa);

  int panels() const { return ceil_div(codes_.count, kVqPanel); }
  void pack(int first, int last);
  // Whether all packed codes are finite; nearest() requires it.
  bool finite() const { return finite_; }

  // x: [rows, channels]. out[row] is -1 where a row is not finite.
  void nearest(const float* x, int64_t rows, int64_t* out) const;

 private:
  const VqRows& rows_;
  std::vector<double> centre_;
  Buffer panels_, bytes_;
  VqCodes codes_;
  std::atomic<bool> finite_{true};
};

}  // namespace mas
