// The draw of a decode step: where its settings lie, and which of them a row has. For the CPU and
// the GPU; mas_fast/ops/step_sampling.py describes the tensors.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace mas {

// The settings of one row; see sampler.h.
struct RowSettings {
  bool guided;
  float guidance, temperature;
  int64_t top_k;  // 0: all
  double top_p;   // 0: no such step
  uint64_t seed;
  uint32_t sample, position;
};

struct SampleStep {
  const float *logits, *uncond;  // [rows, vocab]; uncond may be null
  const int32_t* first;          // [sequences]
  const int32_t* forced;         // [sequences, positions]
  const float* guidance;         // [sequences, positions]
  const float* temperature;      // from here on [sequences]
  const int32_t* top_k;
  const double* top_p;
  const int64_t *seed, *sample;
  int32_t* drawn;  // [rows]
  int64_t rows;
  int vocab, window, positions, end;
};

constexpr int32_t kIdle = -1, kUndecided = INT32_MIN;

struct StepRow {
  int32_t token;  // kIdle, a forced token, or kUndecided: draw it with these settings
  RowSettings settings;
};

MAS_HOST_DEVICE StepRow step_row(const SampleStep& s, int64_t row) {
  const int64_t b = row / s.window;
  const int64_t position = int64_t{s.first[b]} + 1 + row % s.window;
  if (position < 0 || position >= s.end) return {kIdle, {}};
  const int64_t at = b * s.positions + position;
  if (s.forced[at] >= 0) return {s.forced[at], {}};
  const float guidance = s.guidance[at];
  return {kUndecided,
          {s.uncond && guidance != 1.0f, guidance, s.temperature[b], s.top_k[b], s.top_p[b],
           static_cast<uint64_t>(s.seed[b]), static_cast<uint32_t>(s.sample[b]),
           static_cast<uint32_t>(position)}};
}

// What a row draws when the sampler found `token`, or -1 - i for a first NaN at token i.
MAS_HOST_DEVICE int32_t drawn_of(int32_t token) { return token < 0 ? token - 1 : token; }

}  // namespace mas
