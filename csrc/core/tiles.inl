// Products of packed weights with many rows on AMX: one instruction multiplies a tile of up to 16
// rows of activations by a tile of weights, which the panels hold in its layout anyway.
//
// int8: a row's two planes of signed bytes are two rows of a tile. The integers are those of
// dot_levels(), and what becomes of them in float is done in the same order, so the outputs are the
// same bits. bf16: the instruction adds in an order of its own, so it serves any number of rows.
//
// Included by kernels.cpp inside namespace mas::MAS_ISA.

// Up to this many rows, dot_levels() waits for memory alone.
constexpr int kRowsWithoutTiles = 3;

constexpr int kGroupsAtOnce = 8;
constexpr int kMostRowsOfInt8 = 64;
constexpr int kTileSteps = 16;  // of a panel, that make a tile of weights for each half of it
constexpr int kRowsOfInt8 = kMostTileRows / 2;
// How far tiles of int8 are prefetched: at 8 rows 1.38 of the time of two, and 1.55 with kAhead.
constexpr ptrdiff_t kTilesAhead = 6 * kAhead;
constexpr int kGroupsAhead = 4;

// The shapes of the tiles, in the form that LDTILECFG reads:
//   0, 1: sums of `first` rows, for the two halves of a panel
//   2, 3: sums of `second` rows, likewise
//   4, 5: activations of `first` and of `second` rows
//   6, 7: weights of the two halves of a panel
struct alignas(64) TileShapes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};

  inline void shape(int tile, int count, int bytes) {
    rows[tile] = uint8_t(count);
    row_bytes[tile] = uint16_t(bytes);
  }
  // `bytes`: of activations in a row of a tile.
  inline TileShapes(int first, int second, int bytes) {
    for (int half = 0; half < 2; ++half) {
      shape(half, first, kTileBytes);
      shape(2 + half, second, kTileBytes);
      shape(6 + half, bytes / 4, kTileBytes);
    }
    shape(4, first, bytes);
    shape(5, second, bytes);
  }
};

// The integers of one group: for each half of a panel, high and low planes of up to 8 rows.
struct alignas(64) TileSums {
  VInt of[2][kMostTileRows];
};

inline void load_int8(const char* weights, const char* x) {
  _tile_loadd(4, x, kGroup);
  _tile_loadd(6, weights, kStepBytes);
  _tile_loadd(7, weights + kTileBytes, kStepBytes);
}

// Even and odd groups have their own tiles, and sums are stored one group late, so that no
// instruction waits for the one before it: 19 ns a group instead of 26.
inline void multiply_int8(int group) {
  if (group % 2 == 0) {
    _tile_zero(0);
    _tile_zero(1);
    _tile_dpbsud(0, 4, 6);
    _tile_dpbsud(1, 4, 7);
  } else {
    _tile_zero(2);
    _tile_zero(3);
    _tile_dpbsud(2, 4, 6);
    _tile_dpbsud(3, 4, 7);
  }
}

inline void store_int8(int group, TileSums& sums) {
  if (group % 2 == 0) {
    _tile_stored(0, sums.of[0], kTileBytes);
    _tile_stored(1, sums.of[1], kTileBytes);
  } else {
    _tile_stored(2, sums.of[0], kTileBytes);
    _tile_stored(3, sums.of[1], kTileBytes);
  }
}

// Adds groups [begin, end) of a panel to the outputs of `count` (at most 8) rows from `first` on.
inline void add_int8(const Linear& task, int index, int begin, int end, int first, int count,
                     bool ahead, TileSums* sums, VFloat (*outputs)[kParts]) {
  const PreparedRows& rows = task.rows;
  const char* const weights = task.weights.panel(index);
  const char* const x = rows.block(first);
  const int32_t* offsets[kRowsOfInt8];
  for (int row = 0; row < kRowsOfInt8; ++row)
    offsets[row] = rows.offset + (first + (row < count ? row : 0)) * rows.groups();

  VFloat totals[kRowsOfInt8][kParts];
  __builtin_memcpy(totals, outputs, sizeof totals);
  for (int next = begin; next < end + kGroupsAhead; ++next) {
    if (next < end) {
      const char* at = weights + next * group_bytes(DType::int8);
      if (ahead) fetch(at + kTilesAhead, group_bytes(DType::int8));
      load_int8(at + kScaleBytes, x + next * rows.group_bytes());
      multiply_int8(next);
    }
    if (const int group = next - kGroupsAhead; group >= begin) {
      const TileSums& sum = sums[group % kGroupsAhead];
#pragma GCC unroll 2
      for (int part = 0; part < kParts; ++part) {
        const VFloat scale =
            load_bf16(weights + group * group_bytes(DType::int8) + part * sizeof(VHalf));
#pragma GCC unroll 8
        for (int row = 0; row < kRowsOfInt8; ++row) {
          const VInt low = sum.of[part][2 * row + 1] + splat(offsets[row][group]);
          totals[row][part] += to_float((sum.of[part][2 * row] << 8) + low) * scale;
        }
      }
    }
    if (next > begin && next <= end) store_int8(next - 1, sums[(next - 1) % kGroupsAhead]);
  }
  __builtin_memcpy(outputs, totals, sizeof totals);
}

// One panel for `count` rows from `first` on, a few groups at a time, so that all rows but the
// first few find them in the first-level cache.
inline void panel_int8(const Linear& task, int index, int first, int count, TileSums* sums) {
  const int groups = task.rows.groups();
  VFloat outputs[kMostRowsOfInt8][kParts];
  __builtin_memset(outputs, 0, sizeof outputs[0] * round_up(count, kRowsOfInt8));
  for (int begin = 0; begin < groups; begin += kGroupsAtOnce) {
    const int end = begin + kGroupsAtOnce < groups ? begin + kGroupsAtOnce : groups;
    for (int row = 0; row < count; row += kRowsOfInt8) {
      const int rows = count - row < kRowsOfInt8 ? count - row : kRowsOfInt8;
      add_int8(task, index, begin, end, first + row, rows, first + row == 0, sums, outputs + row);
    }
  }
  for (int row = 0; row < count; ++row)
    for (VFloat& part : outputs[row]) part *= task.rows.scale[first + row];
  task.finish(outputs, count, first, index * kPanel);
}

// Calls act(weights, apart, step) for each 16 steps of a panel and of another one `apart` bytes
// from it; steps past their end are zeros.
template <class Act>
inline void each_tile(const char* weights, ptrdiff_t apart, int steps, Act act) {
  int step = 0;
  for (; step + kTileSteps <= steps; step += kTileSteps)
    act(weights + step * kStepBytes, apart, step);
  if (step == steps) return;
  constexpr int kBytes = kTileSteps * kStepBytes;
  alignas(64) char rest[2][kBytes] = {};
  for (int panel = 0; panel < 2; ++panel)
    __builtin_memcpy(rest[panel], weights + panel * apart + step * kStepBytes,
                     size_t(steps - step) * kStepBytes);
  asm volatile("" ::"r"(rest) : "memory");  // the compiler does not know that tiles read memory
  act(rest[0], kBytes, step);
}

// Up to 16 rows from `row` on for two panels: bound by memory, two streams.
inline void two_panels_bf16(const Linear& task, const int (&index)[2], int row, int count) {
  const PreparedRows& rows = task.rows;
  const char* const x = rows.block(row);
  const ptrdiff_t apart = task.weights.panel(index[1]) - task.weights.panel(index[0]);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  each_tile(task.weights.panel(index[0]), apart, ceil_div(task.weights.inputs, 2),
            [&](const char* weights, ptrdiff_t apart, int step) {
              fetch(weights + kAhead, kTileSteps * kStepBytes);
              fetch(weights + apart + kAhead, kTileSteps * kStepBytes);
              _tile_loadd(4, x + ptrdiff_t(step / kTileSteps) * rows.group_bytes(), kTileBytes);
              _tile_loadd(6, weights, kStepBytes);
              _tile_loadd(7, weights + kTileBytes, kStepBytes);
              _tile_dpbf16ps(0, 4, 6);
              _tile_dpbf16ps(1, 4, 7);
              _tile_loadd(6, weights + apart, kStepBytes);
              _tile_loadd(7, weights + apart + kTileBytes, kStepBytes);
              _tile_dpbf16ps(2, 4, 6);
              _tile_dpbf16ps(3, 4, 7);
            });
  VFloat outputs[2][kMostTileRows][kParts];
  _tile_stored(0, &outputs[0][0][0], kStepBytes);
  _tile_stored(1, &outputs[0][0][1], kStepBytes);
  _tile_stored(2, &outputs[1][0][0], kStepBytes);
  _tile_stored(3, &outputs[1][0][1], kStepBytes);
  for (int panel = 0; panel < 2; ++panel)
    task.finish(outputs[panel], count, row, index[panel] * kPanel);
}

// One panel for `count` (at most 32) rows from `row` on.
inline void panel_bf16(const Linear& task, int index, int row, int count, bool ahead) {
  const bool second = count > kMostTileRows;
  const PreparedRows& rows = task.rows;
  const char* const x = rows.block(row);
  const char* const below = rows.block(row + kMostTileRows);
  _tile_zero(0);
  _tile_zero(1);
  if (second) {
    _tile_zero(2);
    _tile_zero(3);
  }
  each_tile(task.weights.panel(index), 0, ceil_div(task.weights.inputs, 2),
            [&](const char* weights, ptrdiff_t, int step) {
              if (ahead) fetch(weights + kAhead, kTileSteps * kStepBytes);
              const ptrdiff_t at = ptrdiff_t(step / kTileSteps) * rows.group_bytes();
              _tile_loadd(4, x + at, kTileBytes);
              _tile_loadd(6, weights, kStepBytes);
              _tile_loadd(7, weights + kTileBytes, kStepBytes);
              _tile_dpbf16ps(0, 4, 6);
              _tile_dpbf16ps(1, 4, 7);
              if (second) {
                _tile_loadd(5, below + at, kTileBytes);
                _tile_dpbf16ps(2, 5, 6);
                _tile_dpbf16ps(3, 5, 7);
              }
            });
  VFloat outputs[2 * kMostTileRows][kParts];
  _tile_stored(0, &outputs[0][0], kStepBytes);
  _tile_stored(1, &outputs[0][1], kStepBytes);
  if (second) {
    _tile_stored(2, &outputs[kMostTileRows][0], kStepBytes);
    _tile_stored(3, &outputs[kMostTileRows][1], kStepBytes);
  }
  task.finish(outputs, count, row, index * kPanel);
}

// int4 takes the vectors at any number of rows, and so do the int8 matrices of its model: there is
// nothing here that unpacks it.
int tile_rows(DType dtype, int count) {
  if (dtype == DType::fp32 || dtype == DType::int4) return 0;
  if (dtype == DType::int8 && count <= kRowsWithoutTiles) return 0;
  const int most = dtype == DType::int8 ? kRowsOfInt8 : kMostTileRows;
  return count < most ? count : most;
}

inline void configure(int upper, int lower, int bytes) {
  const TileShapes shapes(upper, lower, bytes);
  asm volatile("" ::"r"(&shapes) : "memory");  // the compiler does not know that this reads memory
  _tile_loadconfig(&shapes);
}

// The rows of a tile stay those of full blocks in the last block too: what the tiles hold of rows
// past the end is not used.
inline void linear_tiles(const Linear& task, int count, int first, int last) {
  int panel = first;
  if (task.weights.dtype == DType::int8) {
    configure(2 * task.rows.tile, 2 * task.rows.tile, kGroup);
    TileSums sums[kGroupsAhead] = {};  // zeros where a tile has fewer rows
    for (; panel < last; ++panel)
      for (int row = 0; row < count; row += kMostRowsOfInt8)
        panel_int8(task, panel, row, count - row < kMostRowsOfInt8 ? count - row : kMostRowsOfInt8,
                   sums);
  } else {
    configure(task.rows.tile, task.rows.tile, kTileBytes);
    if (count <= kMostTileRows) {
      const int half = (last - first) / 2;
      for (; panel < first + half; ++panel) two_panels_bf16(task, {panel, panel + half}, 0, count);
      panel = first + 2 * half;
    }
    for (; panel < last; ++panel)
      for (int row = 0; row < count; row += 2 * kMostTileRows) {
        const int rows = count - row < 2 * kMostTileRows ? count - row : 2 * kMostTileRows;
        panel_bf16(task, panel, row, rows, row == 0);
      }
  }
  _tile_release();
}
