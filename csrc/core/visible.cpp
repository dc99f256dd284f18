#include "visible.h"

#include <algorithm>

namespace mas {

namespace {

// The grid that contains a position; width 0: it is in the text.
struct Cell {
  int start = 0, height = 0, width = 0;  // of the grid
  int row = 0, column = 0;
};

Cell cell(const Config& config, int position) {
  const int stream = config.stream_at(position), start = config.offset(stream);
  const StreamShape& shape = config.streams[stream];
  if (!shape.width) return {};
  const int index = position - start;
  return {start, shape.height, shape.width, index / shape.width, index % shape.width};
}

// Calls add(first, last) for each visible range of slots in the position's own grid, in ascending
// order.
template <class Add>
void near(const Config& config, Mask mask, int position, const Cell& at, Add add) {
  if (mask == Mask::row) {
    add(std::max(at.start, position - at.width), position + 1);
  } else if (mask == Mask::column) {
    const int first = at.start + at.column * at.height;
    add(first, first + at.row + 1);
  } else {
    const int reach = config.conv_kernel / 2;
    const int left = std::max(0, at.column - reach);
    const int right = std::min(at.width, at.column + reach + 1);
    for (int row = std::max(0, at.row - reach); row <= at.row; ++row) {
      const int first = at.start + row * at.width;
      add(first + left, std::min(first + right, position + 1));
    }
  }
}

}  // namespace

int slot(const Config& config, Mask mask, int position) {
  if (mask != Mask::column) return position;
  const Cell at = cell(config, position);
  return at.width ? at.start + at.column * at.height + at.row : position;
}

int slots(const Config& config, int count) {
  const auto& masks = config.attention;
  if (std::find(masks.begin(), masks.end(), Mask::column) == masks.end()) return count;
  const Cell at = cell(config, count - 1);
  return at.width ? at.start + at.height * at.width : count;
}

int visible(const Config& config, Mask mask, int position, Range* ranges) {
  const Cell at = mask == Mask::causal ? Cell{} : cell(config, position);
  ranges[0] = {0, at.width ? at.start : position + 1};
  if (!at.width) return 1;
  int count = at.start > 0;
  near(config, mask, position, at, [&](int first, int last) {
    if (count && ranges[count - 1].last == first)
      ranges[count - 1].last = last;
    else
      ranges[count++] = {first, last};
  });
  return count;
}

int most_ranges(const Config& config) {
  int most = 1;  // those of a grid; where the square of conv is as wide as the grid, they join
  for (const StreamShape& stream : config.streams)
    most = std::max(most, std::min({config.conv_kernel / 2 + 1, stream.height, stream.width}));
  return most + 1;
}

int visible_count(const Config& config, Mask mask, int position) {
  const Cell at = mask == Mask::causal ? Cell{} : cell(config, position);
  if (!at.width) return position + 1;
  int count = at.start;
  near(config, mask, position, at, [&](int first, int last) { count += last - first; });
  return count;
}

}  // namespace mas
