// Compiled once per instruction set with -DMAS_ISA=<level> -ffp-contract=off. Plain loops over
// arrays that GCC and clang vectorise; nothing from the standard library, whose templates the
// linker would share between levels.
#include "sampler_rows.h"

#include "exact_math.h"
#include "philox.h"

namespace mas {
namespace {

// Tokens drawn at once: their scratch is on the stack, inside the first-level cache.
constexpr int kBlock = 512;

RowSummary logits(const float* __restrict cond, const float* __restrict uncond, float guidance,
                  float temperature, int count, float* __restrict out) {
  if (uncond) {
    for (int i = 0; i < count; ++i) out[i] = uncond[i] + guidance * (cond[i] - uncond[i]);
  } else {
    for (int i = 0; i < count; ++i) out[i] = cond[i];
  }
  if (temperature != 1.0f)
    for (int i = 0; i < count; ++i) out[i] = out[i] / temperature;

  int32_t max = INT32_MIN, nan = 0;
  for (int i = 0; i < count; ++i) {
    const float logit = out[i] + 0.0f;  // -0.0 becomes 0.0: equal logits must have equal bits
    out[i] = logit;
    const int32_t key = ordered(logit);
    max = key > max ? key : max;
    nan |= (bits_of(logit) & 0x7fffffff) > 0x7f800000;
  }
  if (!nan) return {ordered_float(max), -1};
  int32_t first = 0;
  while (out[first] == out[first]) ++first;
  return {0.0f, first};
}

int64_t weights(const float* __restrict logits, float max, int count, double* __restrict weight) {
  int64_t total = 0;
  for (int i = 0; i < count; ++i) {
    const double w = top_p_weight(logits[i], max);
    weight[i] = w;
    total += bits_of(w + kRound) - bits_of(kRound);  // w as an integer, in any instruction set
  }
  return total;
}

// The random words of the tokens first..first+count-1; writes whole groups of four. first is a
// multiple of 4.
void random_of_range(int first, int count, uint64_t seed, uint32_t sample, uint32_t position,
                     uint32_t* __restrict random) {
  const uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  const uint32_t group = static_cast<uint32_t>(first) >> 2;
  const int groups = (count + 3) / 4;
  for (int i = 0; i < groups; ++i) {
    const PhiloxBlock b =
        philox4x32({group + static_cast<uint32_t>(i), position, sample, 0}, key0, key1);
    random[4 * i] = b.x0;
    random[4 * i + 1] = b.x1;
    random[4 * i + 2] = b.x2;
    random[4 * i + 3] = b.x3;
  }
}

// The random words of these tokens.
void random_of_list(const int32_t* __restrict tokens, int count, uint64_t seed, uint32_t sample,
                    uint32_t position, uint32_t* __restrict random) {
  const uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
  for (int i = 0; i < count; ++i) {
    const uint32_t token = static_cast<uint32_t>(tokens[i]);
    const PhiloxBlock b = philox4x32({token >> 2, position, sample, 0}, key0, key1);
    const uint32_t even = token & 2 ? b.x2 : b.x0, odd = token & 2 ? b.x3 : b.x1;
    random[i] = token & 1 ? odd : even;
  }
}

int32_t draw(const float* logits, const int32_t* tokens, int count, uint64_t seed, uint32_t sample,
             uint32_t position) {
  alignas(64) uint32_t random[kBlock];
  alignas(64) int64_t score[kBlock];
  int64_t best_score = INT64_MIN;
  int32_t best = 0;
  for (int first = 0; first < count; first += kBlock) {
    const int n = count - first < kBlock ? count - first : kBlock;
    if (tokens)
      random_of_list(tokens + first, n, seed, sample, position, random);
    else
      random_of_range(first, n, seed, sample, position, random);

    int64_t max = INT64_MIN;
    for (int i = 0; i < n; ++i) {
      const int64_t key = ordered(static_cast<double>(logits[first + i]) + gumbel(random[i]));
      score[i] = key;
      max = key > max ? key : max;
    }
    if (max > best_score) {
      best_score = max;
      int i = 0;
      while (score[i] != max) ++i;
      best = first + i;
    }
  }
  return best;
}

}  // namespace

namespace MAS_ISA {
const SamplerRows sampler_rows = {logits, weights, draw};
}

}  // namespace mas
