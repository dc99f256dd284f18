// Which keys a position sees under a mask, and where the cache keeps them.
//
// A key panel holds 32 positions side by side, so keys can be skipped by neighbours alone. Under
// Mask::column those of a grid therefore lie column by column: what a position sees is then a few
// ranges of slots under every mask.
#pragma once

#include "config.h"
#include "kernels.h"

namespace mas {

// Where the cache keeps `position`.
int slot(const Config& config, Mask mask, int position);

// So many slots hold the first `count` positions, in every layer.
int slots(const Config& config, int count);

// Writes the ranges of slots that `position` sees, itself included, in ascending order with gaps
// between them, and returns how many these are: 1 to most_ranges().
int visible(const Config& config, Mask mask, int position, Range* ranges);
int most_ranges(const Config& config);

// How many positions `position` sees.
int visible_count(const Config& config, Mask mask, int position);

}  // namespace mas
