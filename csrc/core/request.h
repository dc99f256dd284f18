// What a generation is asked to do: sequences of some prompts, forced tokens and how the others are
// drawn.
#pragma once

#include <cstdint>
#include <vector>

#include "config.h"
#include "sampler.h"

namespace mas {

struct Request {
  int prompts = 0, samples = 1;  // `samples` sequences of each prompt
  std::vector<int32_t> forced;   // [prompts, length]: >= 0 fixes a token, -1 leaves it to be drawn
  // [prompts, length of the first stream]: the captions of the unconditional rows of
  // classifier-free guidance (CFG); empty: no CFG.
  std::vector<int32_t> null;
  std::vector<Sampling> sampling;  // one per position
  uint64_t seed = 0;
  uint32_t first_sample = 0;
  int stop = 0;    // positions to produce, 1 to length
  int window = 0;  // positions drawn in a pass; 0: as many as are fastest (speculation.h)
  bool score_forced = false;  // see Run::forced_log_likelihood

  // Throws std::invalid_argument naming the value found and those allowed.
  void check(const Config& config) const;
  bool guided() const;
};

}  // namespace mas
