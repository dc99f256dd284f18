// Which keys a position sees under a mask, and where the cache keeps them.
//
// A key panel holds 32 positions side by side, so only whole groups of neighbours can be skipped.
// Under Mask::column the cache therefore keeps a grid column by column, and what a position sees is
// a few ranges of slots under every mask.
#pragma once

#include "config.h"
#include "kernels.h"

namespace mas {

// The slot in which the cache keeps `position`.
int slot(const Config& config, Mask mask, int position);

// The number of slots that hold the first `count` positions, in every layer.
int slots(const Config& config, int count);

// Writes the ranges of slots that `position` sees, itself included, in ascending order with gaps
// between them, and returns their number: 1 to most_ranges().
int visible(const Config& config, Mask mask, int position, Range* ranges);
int most_ranges(const Config& config);

// The number of positions that `position` sees.
int visible_count(const Config& config, Mask mask, int position);

}  // namespace mas
