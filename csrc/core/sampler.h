// From logits to a token, as a pure function of (logits, seed, sample, position):
//   1. l = (u + guidance * (c - u)) / temperature, every operation rounded to fp32;
//      temperature 0: the largest logit, and nothing below.
//   2. top-k: the k largest logits. 3. top-p: the smallest set of the largest weights
//      rint(exp(l - max) * 2^40) whose sum reaches top_p of the total of what top-k kept.
//   4. The largest l + Gumbel noise among what is kept; the noise of a token is word
//      token % 4 of Philox4x32-10 with key = seed and counter = (token / 4, position, sample, 0).
// Ties go to the lowest id, everywhere. mas_fast/ops/reference/sampling.py is the definition in a
// page of PyTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "isa.h"

namespace mas {

inline constexpr int64_t kAll = INT64_MAX;  // top_k that keeps all
inline constexpr std::optional<double> kOff =
    {};  // no top-p step; 1.0 would drop the tokens of weight 0

struct Sampling {
  double guidance = 1, temperature = 1;
  int64_t top_k = kAll;
  std::optional<double> top_p = kOff;
};

struct Draw {
  uint64_t seed;
  uint32_t sample, position;  // position: the index in the whole sequence of the token being drawn
};

inline constexpr int kMaxVocab = 1 << 22;  // so that the weights of a row add up in 63 bits

// Throw std::invalid_argument naming the value and those allowed.
void check(const Sampling& sampling);
void check_vocab(int64_t vocab);

// What sample() needs as scratch, aligned to 8 bytes (64 are faster).
size_t sampler_scratch_bytes(int vocab);

// The token drawn from `vocab` fp32 logits; uncond null means no guidance. kept (`vocab` bytes, may
// be null) becomes 1 where a token could have been drawn and 0 elsewhere. Allocates nothing. Throws
// std::domain_error naming the first NaN, and std::invalid_argument as check() does.
int32_t sample(const float* cond, const float* uncond, int vocab, const Sampling& sampling,
               const Draw& draw, void* scratch, uint8_t* kept, Isa isa);

// The same for arguments already checked; returns -1 - i where the logit of token i is the first
// NaN.
int32_t sample_or_nan(const float* cond, const float* uncond, int vocab, const Sampling& sampling,
                      const Draw& draw, void* scratch, uint8_t* kept, Isa isa) noexcept;

}  // namespace mas
