#include "resize.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "resize_rows.h"

namespace mas {
namespace {

constexpr double kLobes = 3, kPi = 3.14159265358979323846;

double lanczos(double x) {
  if (x == 0) return 1;
  if (std::abs(x) >= kLobes) return 0;
  const double third = std::sin(kPi * x / kLobes);  // sin 3a = sin a (3 - 4 sin^2 a)
  return third * third * (3 - 4 * third * third) * kLobes / (kPi * kPi * x * x);
}

// For each place of the result along one axis: the first pixel that it sees, and the weights of
// `taps` pixels from there on, which sum to 1.
struct Axis {
  int taps;
  std::vector<int32_t> first;
  std::vector<float> weights;

  Axis(int size, double start, double length, int target) : first(target) {
    const double scale = length / target, wide = std::max(scale, 1.0), support = kLobes * wide;
    taps = std::min(size, int(std::ceil(2 * support)) + 1);
    weights.resize(size_t(target) * taps);
    std::vector<double> values(taps);
    for (int x = 0; x < target; ++x) {
      const double center = start + (x + 0.5) * scale;
      first[x] = std::clamp(int(std::floor(center - support)), 0, size - taps);
      double sum = 0;
      for (int k = 0; k < taps; ++k)
        sum += values[k] = lanczos((first[x] + k + 0.5 - center) / wide);
      for (int k = 0; k < taps; ++k) weights[size_t(x) * taps + k] = float(values[k] / sum);
    }
  }
};

const ResizeRows& rows_of(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx2:
      return avx2::resize_rows;
    case Isa::avx512:
      return avx512::resize_rows;
    case Isa::avx512_vnni:
      return avx512_vnni::resize_rows;
    case Isa::avx512_bf16:
      return avx512_bf16::resize_rows;
#endif
    default:
      return generic::resize_rows;
  }
}

}  // namespace

void resize(const Picture& picture, const Box& box, int height, int width, uint8_t* out, Isa isa) {
  const Axis down(picture.height, box.top, box.height, height);
  Axis across(picture.width, box.left, box.width, width);
  const ResizeRows& rows = rows_of(isa);
  // Only the columns that the result sees.
  const auto [low, high] = std::minmax_element(across.first.begin(), across.first.end());
  const int left = *low, columns = *high + across.taps - left;
  for (int32_t& first : across.first) first -= left;
  const int size = (3 * columns + rows.lanes - 1) / rows.lanes * rows.lanes;
  std::vector<float> lines(size_t(size) * rows.lanes), scratch(lines.size());
  for (int y = 0; y < height; y += rows.lanes) {
    const int band = std::min(rows.lanes, height - y);
    for (int r = 0; r < band; ++r)
      rows.down(picture.pixels + down.first[y + r] * picture.stride + 3 * ptrdiff_t(left),
                picture.stride, &down.weights[size_t(y + r) * down.taps], down.taps, 3 * columns,
                &lines[size_t(r) * size]);
    rows.across(lines.data(), size, across.first.data(), across.weights.data(), across.taps, band,
                width, scratch.data(), out + 3 * size_t(y) * width, 3 * ptrdiff_t(width));
  }
}

}  // namespace mas
