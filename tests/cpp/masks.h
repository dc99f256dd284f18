// The masks as mas_fast/ops/reference/attention.py defines them, a pair of positions at a time.
#pragma once

#include <cstdlib>

#include "core/config.h"

// Whether `position` sees `other` under a mask.
inline bool sees(const mas::Config& config, mas::Mask mask, int position, int other) {
  const int stream = config.stream_at(position), start = config.offset(stream);
  const int width = config.streams[stream].width;
  if (other > position) return false;
  if (mask == mas::Mask::causal || !width || other < start) return true;
  const int place = position - start, before = other - start, reach = config.conv_kernel / 2;
  const int columns = std::abs(place % width - before % width);
  if (mask == mas::Mask::row) return place - before <= width;
  if (mask == mas::Mask::column) return columns == 0;
  return place / width - before / width <= reach && columns <= reach;
}
