// The arithmetic of the engine, one table of functions for each instruction set.
//
// Every output element is computed by one fixed sequence of operations that depends on neither the
// number of rows nor the number of threads, so logits and tokens are the same at any batch size.
#pragma once

#include "isa.h"
#include "packed.h"

namespace mas {

inline constexpr int kMostTileRows = 16;
inline constexpr int kTileBytes = 64;  // at most, of a row of a tile

// Rows of activations in the form that a matrix product of one weight type reads.
//   fp32: float. bf16: rounded to bfloat16. int8: 16-bit integers, value = integer * scale, one
//   scale per row (so that the error of the int8 engine is that of its weights alone).
struct PreparedRows {
  DType dtype = DType::fp32;
  int inputs = 0;
  char* data = nullptr;  // data_bytes() for each row
  float* scale = nullptr;
  int32_t* offset = nullptr;  // int8: per group, -128 times the sum of its integers
  // 0: row after row. Else each `tile` rows form a block, group after group, and within a group lie
  // the rows' 32 inputs side by side, 64 bytes of each: what a tile of AMX reads (tiles.inl).
  int tile = 0;

  MAS_INLINE int padded() const { return round_up(inputs, kGroup); }
  MAS_INLINE int groups() const { return padded() / kGroup; }
  MAS_INLINE size_t data_bytes() const { return size_t(padded()) * (dtype == DType::fp32 ? 4 : 2); }
  MAS_INLINE char* row(int index) const { return data + index * data_bytes(); }
  // With tiles: the first row of a block, and the inputs of one group of a row.
  MAS_INLINE char* block(int first) const { return data + first * data_bytes(); }
  MAS_INLINE int group_bytes() const { return tile * kTileBytes; }
  MAS_INLINE char* tiled(int index, int group) const {
    return block(index / tile * tile) + group * group_bytes() + index % tile * kTileBytes;
  }
};

enum class Epilogue { store, gelu, add };

// The KV cache of one head of one sequence in one layer, for `capacity` positions, each in its slot
// (visible.h). Keys and values are both in the order of slots, and a slot takes as many bytes in
// one as in the other.
struct HeadCache {
  DType dtype;
  int head_dim, capacity;
  char* keys;           // panels of 32 positions, one after the other: steps over channels
  char* values;         // panels of 32 channels, side by side: steps over positions
  float* key_scales;    // int8: one per position
  float* value_scales;  // int8: one per position

  MAS_INLINE int key_steps() const { return ceil_div(head_dim, inputs_per_step(dtype)); }
  MAS_INLINE int value_steps(int length) const { return ceil_div(length, inputs_per_step(dtype)); }
  MAS_INLINE int value_panels() const { return ceil_div(head_dim, kPanel); }
  MAS_INLINE size_t key_panel_bytes() const { return size_t(key_steps()) * kStepBytes; }
  // Bytes from one step to the next.
  MAS_INLINE int value_stride() const { return value_panels() * kStepBytes; }
  MAS_INLINE size_t key_bytes() const { return ceil_div(capacity, kPanel) * key_panel_bytes(); }
  MAS_INLINE size_t value_bytes() const { return size_t(value_steps(capacity)) * value_stride(); }
};

// Slots [first, last) of a cache.
struct Range {
  int first, last;
};

inline constexpr int kMostQueryRows = 4;  // that attend() takes at once, by any instruction set

// Floats of scratch that attend() needs for `length` slots in `ranges` ranges: for each of the rows
// that it takes at once the scores of whole panels, and a prepared row with its scale and offsets,
// each a whole number of cache lines.
MAS_INLINE size_t attention_scratch_floats(int head_dim, int length, int ranges) {
  const int panels = length + 2 * kPanel * ranges;
  const int size = round_up(panels > head_dim ? panels : head_dim, kPanel);
  constexpr int kRows = kMostQueryRows;
  return 2 * size_t(kRows) * size + 16 + round_up(kRows * size / kGroup, 16);
}

struct Kernels {
  // y = (x - mean) / sqrt(variance + epsilon) * weight + bias
  void (*layer_norm)(const float* x, const float* weight, const float* bias, int size,
                     float epsilon, float* y);
  // x = x / sqrt(mean(x^2) + epsilon) * weight
  void (*rms_norm)(float* x, const float* weight, int size, float epsilon);
  // The `tile` of PreparedRows that linear() wants for `count` rows.
  int (*tile)(DType dtype, int count);
  // Fills row `row` of `rows` from x [rows.inputs].
  void (*prepare)(const PreparedRows& rows, int row, const float* x);
  // out[row * stride + o] (=, = gelu, +=) sum_i rows[row][i] * weights[o][i] + bias[o] for the
  // outputs of panels [first, last); bias may be null.
  void (*linear)(const Packed& weights, const PreparedRows& rows, int count, const float* bias,
                 Epilogue epilogue, float* out, ptrdiff_t stride, int first, int last);
  // Writes the key and the value of one position into its slot.
  void (*append)(const HeadCache& cache, int slot, const float* key, const float* value);
  // out [rows, head_dim] = softmax(queries . keys / sqrt(head_dim)) . values. The last row sees the
  // slots of `count` ranges, which ascend with gaps between them, and each row one slot less than
  // the row after it: more than one row is for consecutive positions under a causal mask. The
  // panels of other slots are not read. `ranges` is changed meanwhile. The keys at `next` are those
  // that this thread reads afterwards.
  void (*attend)(const HeadCache& cache, Range* ranges, int count, int rows, const float* queries,
                 ptrdiff_t query_stride, float* out, ptrdiff_t out_stride, float* scratch,
                 const char* next);
  // The sum of a buffer of 64-byte lines, read once: a yardstick for memory bandwidth.
  float (*sum)(const char* data, size_t bytes);
};

const Kernels& kernels(Isa isa);

}  // namespace mas
