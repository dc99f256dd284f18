// The loops of vq.cpp, once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "packed.h"
#include "per_isa.h"

namespace mas {

inline constexpr int kVqPanel = 64;                 // codes in a panel
inline constexpr int kVqStepBytes = 4 * kVqPanel;   // a step is 4 channels of all of them
inline constexpr int kVqTile = 96;                  // rows that walk over the codebook together
inline constexpr int kVqCandidates = 2 * kVqPanel;  // codes that a row remembers at once
inline constexpr int kVqMaxChannels = 1 << 16;      // so that a dot product of bytes fits 32 bits

// Every code, less the centre, is scale * byte plus a residue. The score of a code is half the
// squared distance, less what all codes of a row have in common: |code|^2 / 2 - row . code.
struct VqPanel {
  float half_square[kVqPanel];  // |code|^2 / 2, a little less than that
  float scale[kVqPanel];
  float residue[kVqPanel];  // upper bounds of the residue's length,
  float length[kVqPanel];   // and of the code's
};

struct VqCodes {
  const float* codes;    // [count, channels]
  const double* centre;  // [channels, padded with zeros to a multiple of 8]
  int count, channels;
  VqPanel* panels;
  char* bytes;  // [panels, steps, 64, 4]: uint8_t, the byte plus 128, and 128 in the padding

  MAS_INLINE int steps() const { return ceil_div(channels, 4); }
  MAS_INLINE size_t panel_bytes() const { return size_t(steps()) * kVqStepBytes; }
  MAS_INLINE int padded() const { return round_up(channels, 8); }
};

struct VqRows {
  // Fills panel `index`; false when a code in it is not finite. scratch: padded() doubles.
  bool (*pack)(const VqCodes& codes, int index, double* scratch);
  // The bytes of memory that nearest() needs, aligned to 64.
  size_t (*scratch_bytes)(int channels);
  // out[row] = the nearest code of each of up to kVqTile rows, or -1 where a row is not finite.
  void (*nearest)(const VqCodes& codes, const float* x, int rows, char* scratch, int64_t* out);
};

// The definition: the nearest of `count` codes by distances that are summed in fp64 in the order of
// the channels, each operation rounded once; the lowest id of equals. In vq.cpp, for all levels.
int32_t vq_nearest_of(const VqCodes& codes, const float* x, const int32_t* ids, int count);

MAS_DECLARE_PER_ISA(VqRows, vq_rows)

}  // namespace mas
