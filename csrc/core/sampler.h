// From logits to a token, as a pure function of (logits, seed, sample, position):
//   1. Classifier-free guidance (CFG) and temperature: l = (u + guidance * (c - u)) / temperature,
//      every operation rounded to fp32. Temperature 0 takes the largest logit; steps 2 to 4 are
//      skipped.
//   2. Top-k keeps the k largest logits.
//   3. Top-p keeps the smallest set of the largest weights rint(exp(l - max) * 2^40) whose sum
//      reaches top_p of the total that top-k kept.
//   4. Of the tokens kept, the one with the largest l + Gumbel noise is drawn. The noise of a token
//      is word token % 4 of Philox4x32-10 with key = seed and
//      counter = (token / 4, position, sample, 0).
// Ties always go to the lowest id. mas_fast/ops/reference/sampling.py is the definition in PyTorch.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "isa.h"

namespace mas {

inline constexpr int64_t kAll = INT64_MAX;  // top_k that keeps all
// No top-p step; top_p = 1.0 would drop the tokens of weight 0.
inline constexpr std::optional<double> kOff = {};

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

// The bytes of scratch that sample() needs, aligned to 8 bytes (64 are faster).
size_t sampler_scratch_bytes(int vocab);

// The token drawn from `vocab` fp32 logits. uncond: the unconditional logits of CFG, or null for no
// guidance. kept (`vocab` bytes, may be null) becomes 1 where a token could have been drawn and 0
// elsewhere. Allocates nothing. Throws std::domain_error naming the first NaN, and
// std::invalid_argument as check() does.
int32_t sample(const float* cond, const float* uncond, int vocab, const Sampling& sampling,
               const Draw& draw, void* scratch, uint8_t* kept, Isa isa);

// The same for arguments already checked; returns -1 - i if the logit of token i is the first NaN.
int32_t sample_or_nan(const float* cond, const float* uncond, int vocab, const Sampling& sampling,
                      const Draw& draw, void* scratch, uint8_t* kept, Isa isa) noexcept;

// log softmax(logits)[token] in fp64; NaN where a logit is. Infinite logits that are the largest
// share the probability.
double log_probability(const float* logits, int vocab, int32_t token) noexcept;

}  // namespace mas
