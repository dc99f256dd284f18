// Compiled once per instruction set with -DMAS_ISA=<level>. As in kernels.cpp, nothing here may
// call an inline function or template of another header that is not MAS_INLINE.
#include "label_conv_rows.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(MAS_NEON)
#include <arm_neon.h>
#endif

namespace mas::MAS_ISA {
namespace {

#include "vec.inl"

// rows [10, width]: the rows of the table that pixel x of a line adds up, by tap, then the last.
void find_rows(const LabelMaps& maps, int64_t line, int32_t* rows) {
  const int width = maps.width, y = static_cast<int>(line % maps.height);
  int32_t* padded = rows + kLabelRows * size_t(width);
  int32_t* edges = padded + 3 * (size_t(width) + 2);
  int32_t* last = rows + kLabelTaps * size_t(width);
  for (int x = 0; x < width; ++x) last[x] = kLabelTaps * (maps.count + 1);
  for (int dy = 0; dy < 3; ++dy) {
    int32_t* label = padded + dy * (size_t(width) + 2);
    int32_t* edge = edges + dy * (size_t(width) + 2);
    const bool inside = y + dy >= 1 && y + dy <= maps.height;
    const size_t from = inside ? size_t(line + dy - 1) * width : 0;
    label[0] = label[width + 1] = maps.count;
    edge[0] = edge[width + 1] = 0;
    for (int x = 0; x < width; ++x) {
      const int32_t value = inside ? maps.labels[from + x] : maps.count;
      label[x + 1] = value < maps.count ? value : maps.count;
      edge[x + 1] = inside && maps.has_edges && maps.edges[from + x] != 0;
    }
    for (int dx = 0; dx < 3; ++dx) {
      const int tap = 3 * dy + dx;
      int32_t* row = rows + tap * size_t(width);
      for (int x = 0; x < width; ++x) {
        row[x] = tap * (maps.count + 1) + label[x + dx];
        last[x] += edge[x + dx] << tap;
      }
    }
  }
}

void forward(const LabelMaps& maps, int64_t line, const float* table, int outputs, int32_t* scratch,
             float* out) {
  constexpr int kWide = 4;
  const size_t width = maps.width;
  find_rows(maps, line, scratch);
  for (size_t x = 0; x < width; ++x, out += outputs) {
    const float* row[kLabelRows];
    for (int tap = 0; tap < kLabelRows; ++tap)
      row[tap] = table + size_t(scratch[tap * width + x]) * outputs;
    int i = 0;
    for (; i + kWide * kLanes <= outputs; i += kWide * kLanes) {
      VFloat sums[kWide];
      for (int v = 0; v < kWide; ++v) sums[v] = load<VFloat>(row[kLabelTaps] + i + v * kLanes);
      for (int tap = 0; tap < kLabelTaps; ++tap)
        for (int v = 0; v < kWide; ++v) sums[v] += load<VFloat>(row[tap] + i + v * kLanes);
      for (int v = 0; v < kWide; ++v) store(out + i + v * kLanes, sums[v]);
    }
    for (; i < outputs; ++i) {
      float sum = row[kLabelTaps][i];
      for (int tap = 0; tap < kLabelTaps; ++tap) sum += row[tap][i];
      out[i] = sum;
    }
  }
}

void backward(const LabelMaps& maps, int64_t line, const float* grad, int outputs, int first,
              int last, int32_t* scratch, double* sums) {
  const size_t width = maps.width;
  const int count = last - first;
  find_rows(maps, line, scratch);
  for (size_t x = 0; x < width; ++x) {
    const float* from = grad + x * outputs + first;
    for (int tap = 0; tap < kLabelRows; ++tap) {
      double* to = sums + size_t(scratch[tap * width + x]) * count;
      for (int i = 0; i < count; ++i) to[i] += double(from[i]);
    }
  }
}

}  // namespace

extern const LabelConvRows label_conv_rows = {forward, backward};

}  // namespace mas::MAS_ISA
