#include "sampler.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>

#include "exact_math.h"
#include "sampler_rows.h"

namespace mas {

namespace {

constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;

struct Scratch {
  double* weight;    // [vocab]
  int64_t* sum;      // [kDigits]
  float* logit;      // [vocab] of the candidates
  int32_t* token;    // [vocab] of the candidates, ascending; means nothing while all are candidates
  int32_t* members;  // [vocab] candidates that share a prefix of the key

  Scratch(void* memory, size_t vocab) {
    weight = static_cast<double*>(memory);
    sum = reinterpret_cast<int64_t*>(weight + vocab);
    logit = reinterpret_cast<float*>(sum + kDigits);
    token = reinterpret_cast<int32_t*>(logit + vocab);
    members = token + vocab;
  }
  static size_t bytes(size_t vocab) {
    return vocab * (sizeof(double) + sizeof(float) + 2 * sizeof(int32_t)) +
           kDigits * sizeof(int64_t);
  }
};

// A cut of the order (key descending, index ascending): everything with a larger key is kept, and
// with this key everything up to index `last`.
struct Cut {
  uint64_t key;
  int last;
};

// The shortest prefix of 0..count-1 in the order (key descending, index ascending) whose mass
// satisfies `reached`, which must be monotone and true of the whole. mass is a function of the key.
// A radix selection from the top digit down: each pass sums the mass of every digit, finds the
// digit in which the prefix ends, and continues with the members of that digit. O(count) expected,
// at most one pass over all of them per digit.
template <int kBits, class Key, class Mass, class Reached>
Cut find_cut(int count, Key key, Mass mass, Reached reached, const Scratch& scratch) {
  int64_t above = 0;  // mass of the keys larger than every member's
  int members = count;
  for (int shift = kBits - kDigitBits;; shift = shift > kDigitBits ? shift - kDigitBits : 0) {
    const bool first = shift == kBits - kDigitBits;  // all are members: there is no list yet
    const auto member = [&](int i) { return first ? i : scratch.members[i]; };
    std::memset(scratch.sum, 0, kDigits * sizeof(int64_t));
    for (int i = 0; i < members; ++i)
      scratch.sum[key(member(i)) >> shift & (kDigits - 1)] += mass(member(i));

    uint64_t digit = kDigits - 1;
    while (!reached(above + scratch.sum[digit])) {
      above += scratch.sum[digit];
      assert(digit > 0);
      --digit;
    }

    int kept = 0;
    for (int i = 0; i < members; ++i) {
      const int m = member(i);
      scratch.members[kept] = m;
      kept += (key(m) >> shift & (kDigits - 1)) == digit;
    }
    members = kept;
    if (shift == 0 || members == 1) break;
  }
  int last = 0;  // what is left has one key
  for (; !reached(above + mass(scratch.members[last])); ++last)
    above += mass(scratch.members[last]);
  return {key(scratch.members[last]), scratch.members[last]};
}

// Keeps the candidates up to the cut, in their order, and returns their number. all: token[] is not
// written yet.
template <class Key>
int keep(int count, bool all, const Cut& cut, Key key, const Scratch& scratch) {
  int kept = 0;
  for (int i = 0; i < count; ++i) {
    const uint64_t k = key(i);
    const bool keeps = k > cut.key || (k == cut.key && i <= cut.last);
    scratch.token[kept] = all ? i : scratch.token[i];
    scratch.logit[kept] = scratch.logit[i];
    kept += keeps;
  }
  return kept;
}

int keep_top_k(int count, int64_t k, const Scratch& scratch) {
  const auto key = [&](int i) -> uint64_t {
    return static_cast<uint32_t>(ordered(scratch.logit[i])) ^ 0x80000000u;
  };
  const auto one = [](int) { return int64_t{1}; };
  const Cut cut = find_cut<32>(count, key, one, [k](int64_t sum) { return sum >= k; }, scratch);
  return keep(count, true, cut, key, scratch);
}

// The keys are the weights' floating-point bits, so that the first digits already distinguish small
// weights: integers up to 2^40 have 6 bits of exponent and 40 of fraction.
int keep_top_p(int count, bool all, int64_t total, double p, const Scratch& scratch) {
  const auto key = [&](int i) -> uint64_t {
    const int64_t offset = bits_of(0.5);
    const int64_t bits = bits_of(scratch.weight[i]);
    return bits > offset ? static_cast<uint64_t>(bits - offset) >> 12 : 0;
  };
  const auto mass = [&](int i) { return static_cast<int64_t>(scratch.weight[i]); };
  const double target = p * static_cast<double>(total);
  const auto reached = [target](int64_t sum) { return static_cast<double>(sum) >= target; };
  const Cut cut = find_cut<46>(count, key, mass, reached, scratch);
  return keep(count, all, cut, key, scratch);
}

template <class T>
[[noreturn]] void reject(const char* name, T value, const char* allowed) {
  char text[32];
  char* end = std::to_chars(text, text + sizeof(text), value).ptr;
  throw std::invalid_argument(std::string(name) + ": found " + std::string(text, end) +
                              ", expected " + allowed);
}

}  // namespace

void check(const Sampling& s) {
  if (!std::isfinite(static_cast<float>(s.guidance)))
    reject("guidance", s.guidance, "a finite number within the range of fp32");
  if (!(s.temperature >= 0) || !std::isfinite(static_cast<float>(s.temperature)))
    reject("temperature", s.temperature,
           "0 (the largest logit) or a positive finite number within the range of fp32");
  if (s.top_k < 1) reject("top_k", s.top_k, "at least 1, or absent to keep all");
  if (s.top_p && !(*s.top_p > 0 && *s.top_p <= 1))
    reject("top_p", *s.top_p, "in (0, 1], or absent for no top-p step");
}

void check_vocab(int64_t vocab) {
  if (vocab < 1 || vocab > kMaxVocab) reject("the vocabulary", vocab, "1 to 4194304 tokens");
}

size_t sampler_scratch_bytes(int vocab) { return Scratch::bytes(static_cast<size_t>(vocab)); }

int32_t sample_or_nan(const float* cond, const float* uncond, int vocab, const Sampling& sampling,
                      const Draw& draw, void* memory, uint8_t* kept, Isa isa) noexcept {
  const SamplerRows& rows = MAS_CHOOSE(isa, sampler_rows);
  const Scratch scratch(memory, static_cast<size_t>(vocab));
  const float temperature = static_cast<float>(sampling.temperature);
  const RowSummary row = rows.logits(cond, uncond, static_cast<float>(sampling.guidance),
                                     temperature == 0 ? 1 : temperature, vocab, scratch.logit);
  if (kept) std::memset(kept, 0, static_cast<size_t>(vocab));
  if (row.nan >= 0) return -1 - row.nan;

  if (temperature == 0) {
    int32_t token = 0;
    while (scratch.logit[token] != row.max) ++token;
    if (kept) kept[token] = 1;
    return token;
  }

  int count = vocab;
  if (sampling.top_k < vocab) count = keep_top_k(count, sampling.top_k, scratch);
  if (sampling.top_p) {
    const int64_t total = rows.weights(scratch.logit, row.max, count, scratch.weight);
    count = keep_top_p(count, count == vocab, total, *sampling.top_p, scratch);
  }

  const int32_t* tokens = count == vocab ? nullptr : scratch.token;
  if (kept) {
    if (!tokens)
      std::memset(kept, 1, static_cast<size_t>(vocab));
    else
      for (int i = 0; i < count; ++i) kept[tokens[i]] = 1;
  }
  const int32_t best =
      rows.draw(scratch.logit, tokens, count, draw.seed, draw.sample, draw.position);
  return tokens ? tokens[best] : best;
}

int32_t sample(const float* cond, const float* uncond, int vocab, const Sampling& sampling,
               const Draw& draw, void* scratch, uint8_t* kept, Isa isa) {
  check(sampling);
  check_vocab(vocab);
  const int32_t token = sample_or_nan(cond, uncond, vocab, sampling, draw, scratch, kept, isa);
  if (token < 0)
    throw std::domain_error("the logit of token " + std::to_string(-1 - token) +
                            ": found NaN, expected a number or an infinity");
  return token;
}

double log_probability(const float* logits, int vocab, int32_t token) noexcept {
  float largest = logits[0];
  for (int i = 1; i < vocab; ++i) largest = std::max(largest, logits[i]);
  double sums[8] = {};  // eight, so that the compiler uses vectors
  // An infinity minus itself would be NaN: the largest logits are 0 below the largest.
  const auto below = [&](int i) {
    return logits[i] == largest ? 0.0 : double(logits[i]) - double(largest);
  };
  const auto weight = [&](int i) { return exact_exp(below(i)); };
  int i = 0;
  for (; i + 8 <= vocab; i += 8)
    for (int lane = 0; lane < 8; ++lane) sums[lane] += weight(i + lane);
  for (; i < vocab; ++i) sums[0] += weight(i);
  double total = 0;
  for (double sum : sums) total += sum;
  return below(token) - exact_log(total);
}

}  // namespace mas
