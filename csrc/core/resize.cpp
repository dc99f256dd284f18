#include "resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "resize_rows.h"

namespace mas {
namespace {

constexpr double kKeys = -0.75, kSupport = 2;
constexpr int kOne = 1 << 14;    // the sum of weights, of which one at a border may be larger
constexpr int kBias = 2 * kOne;  // makes running sums positive, which are rounded fast

// Keys (1981), "Cubic convolution interpolation for digital image processing", equation 4.
double cubic(double x) {
  x = std::abs(x);
  if (x < 1) return ((kKeys + 2) * x - (kKeys + 3)) * x * x + 1;
  if (x < 2) return kKeys * (((x - 5) * x + 8) * x - 4);
  return 0;
}

// For each pixel of the result along one axis: the first pixel that it sees, and the weights of
// `taps` pixels from there on.
struct Axis {
  int taps;
  std::vector<int> first;
  std::vector<int16_t> weights;

  Axis(int size, double start, double length, int target) : first(target) {
    const double scale = length / target, narrow = std::min(1 / scale, 1.0);
    const double support = kSupport / narrow;
    taps = int(std::min<double>(size, std::ceil(2 * support)));
    weights.resize(size_t(target) * taps);
    std::vector<double> values(taps);
    for (int x = 0; x < target; ++x) {
      const double center = start + (x + 0.5) * scale;
      first[x] = std::clamp(int(std::ceil(center - support - 0.5)), 0, size - taps);
      const double at = first[x] + 0.5 - center;
      double sum = 0;
      for (int k = 0; k < taps; ++k) sum += values[k] = cubic((at + k) * narrow);
      // Running sums are rounded instead of weights, so that the weights add up to kOne.
      double running = kBias + 0.5;
      for (int k = 0, done = kBias; k < taps; ++k) {
        running += values[k] * (kOne / sum);
        const int next = k + 1 < taps ? int(running) : kBias + kOne;
        weights[size_t(x) * taps + k] = int16_t(next - done);
        done = next;
      }
    }
  }
};

template <class T>
T round_to(T size, T multiple) {
  return (size + multiple - 1) / multiple * multiple;
}

// Resizes along columns: out [axis.first.size(), line] of lines of `count` bytes, `line` being that
// rounded up.
void pass(const uint8_t* from, ptrdiff_t stride, int count, const Axis& axis, uint8_t* out,
          const ResizeRows& rows) {
  const int line = round_to(count, kResizeLine), target = int(axis.first.size());
  thread_local std::vector<int16_t> kept;  // the last rows, each widened once
  kept.assign(size_t(line) * axis.taps, 0);
  std::vector<const int16_t*> seen(axis.taps);
  for (int y = 0, made = axis.first[0]; y < target; ++y) {
    const int start = axis.first[y];
    for (made = std::max(made, start); made < start + axis.taps; ++made)
      rows.widen(from + made * stride, count, &kept[size_t(line) * (made % axis.taps)]);
    for (int k = 0; k < axis.taps; ++k) seen[k] = &kept[size_t(line) * ((start + k) % axis.taps)];
    rows.down(seen.data(), &axis.weights[size_t(y) * axis.taps], axis.taps, line,
              out + size_t(y) * line);
  }
}

}  // namespace

void resize(const Picture& picture, const Box& box, int height, int width, uint8_t* out, Isa isa) {
  const Axis down(picture.height, box.top, box.height, height);
  Axis across(picture.width, box.left, box.width, width);
  const ResizeRows& rows = MAS_CHOOSE(isa, resize_rows);
  // Only the columns that the result sees are read.
  const int left = across.first.front(), columns = across.first.back() + across.taps - left;
  for (int& first : across.first) first -= left;
  // Both directions are the same pass, with a transpose after each: [height, 3 columns] becomes
  // [3 columns, height], a line of three channels for each column, and that [3 width, height].
  const size_t line = round_to(3 * columns, kResizeLine), tall = round_to(height, kResizeLine);
  const size_t size = std::max(line * round_to<size_t>(height, kResizeTile),
                               tall * round_to<size_t>(3 * size_t(width), kResizeTile));
  thread_local std::vector<uint8_t> passed, turned;  // fresh pages took a fifth of the time
  passed.resize(size);
  turned.resize(tall * line);
  pass(picture.pixels + 3 * ptrdiff_t(left), picture.stride, 3 * columns, down, passed.data(),
       rows);
  rows.transpose(passed.data(), ptrdiff_t(line), height, 3 * columns, turned.data(),
                 ptrdiff_t(tall));
  pass(turned.data(), 3 * ptrdiff_t(tall), 3 * int(tall), across, passed.data(), rows);
  rows.transpose(passed.data(), ptrdiff_t(tall), 3 * width, height, out, 3 * ptrdiff_t(width));
}

}  // namespace mas
