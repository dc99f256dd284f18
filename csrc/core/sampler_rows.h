// The loops of the sampler that touch every logit of a row, once per instruction set. All of them
// are made of exactly rounded operations and integers, so that every level gives the same bits.
#pragma once

#include <cstdint>

#include "per_isa.h"

namespace mas {

struct RowSummary {
  float max;
  int32_t nan;  // the index of the first NaN, or -1; with a NaN, max means nothing
};

struct SamplerRows {
  // out[i] = ((uncond[i] + guidance * (cond[i] - uncond[i])) / temperature), each operation rounded
  // to fp32; uncond may be null: out[i] = cond[i] / temperature. Never -0.0.
  RowSummary (*logits)(const float* cond, const float* uncond, float guidance, float temperature,
                       int count, float* out);

  // weight[i] = rint(exp(logits[i] - max) * 2^40), integers held in fp64; returns their sum.
  int64_t (*weights)(const float* logits, float max, int count, double* weight);

  // The index i < count with the largest logits[i] + Gumbel(seed, sample, position, token), the
  // first of equals; the token of logits[i] is tokens[i], or i where tokens is null.
  int32_t (*draw)(const float* logits, const int32_t* tokens, int count, uint64_t seed,
                  uint32_t sample, uint32_t position);
};

MAS_DECLARE_PER_ISA(SamplerRows, sampler_rows)

}  // namespace mas
