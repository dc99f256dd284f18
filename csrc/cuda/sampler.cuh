// From the logits of a row to a token, by all threads of a team (team.cuh), with the bits of
// core/sampler.cpp: fp64 math is exact_math.h, sums are integers and everything else is a maximum.
// Compile with --fmad=false.
#pragma once

#include <cstdint>

#include "../core/exact_math.h"
#include "../core/philox.h"
#include "../core/sample_step.h"
#include "tokens.cuh"

#if defined(__CUDACC__)
#define MAS_DEVICE_CALL __device__ __noinline__
#else
#include <cmath>
#define MAS_DEVICE_CALL inline
#endif

namespace mas {

constexpr int kDigitBits = 10;  // a warp finds one of 32 x 32 digits in two steps

// 64-bit atomics on shared memory are loops of compare-and-swap; two of 32 bits, with the carry,
// are not.
struct alignas(8) Sum {
  uint32_t low, high;
  template <class Team>
  MAS_DEVICE void add(const Team& team, int64_t value) {
    const uint32_t before = team.add(&low, static_cast<uint32_t>(value));
    const bool carry = before + static_cast<uint32_t>(value) < before;
    const uint32_t upper = static_cast<uint32_t>(value >> 32) + carry;
    if (upper) team.add(&high, upper);
  }
  MAS_DEVICE int64_t value() const { return static_cast<int64_t>(uint64_t{high} << 32 | low); }
};

struct Pair {
  int64_t a, b;
};

// What the blocks of a team share: each step uses the half that the step before did not, and ends
// with or after a barrier of the team. So who writes to one half knows that all have read what was
// there two steps ago.
template <class Team>
struct Shared {
  struct Histogram {
    Sum fine[1 << kDigitBits];          // of this block
    int64_t coarse[Team::kBlocks][32];  // of every block, the sum of 32 fine ones
  };
  Histogram histogram[2];
  Pair slot[2][Team::kBlocks * Team::kWarps];
};

template <class Team>
struct Context {
  Team team;
  Shared<Team>& shared;
  int half = 0;
};

// The combination of all threads' values, in every thread.
template <class Team, class Combine>
MAS_DEVICE Pair reduce(Context<Team>& c, Pair value, Combine combine) {
  constexpr int kSlots = Team::kBlocks * Team::kWarps, kLanes = kSlots < 32 ? kSlots : 32;
  static_assert((kSlots & (kSlots - 1)) == 0);
  const Team& team = c.team;
  const auto over = [&](int lanes) {
    for (int offset = lanes / 2; offset; offset /= 2)
      value =
          combine(value, {team.shuffle_xor(value.a, offset), team.shuffle_xor(value.b, offset)});
  };
  over(32);
  Pair* slot = c.shared.slot[c.half];
  if (team.lane() < Team::kBlocks)
    *team.of(&slot[team.rank * Team::kWarps + team.warp()], team.lane()) = value;
  team.sync();
  value = slot[team.lane() % kSlots];
  for (int i = team.lane() + 32; i < kSlots; i += 32) value = combine(value, slot[i]);
  over(kLanes);
  c.half ^= 1;
  return value;
}

// {key, token}: the largest key, and of equals the lowest id.
struct Better {
  MAS_DEVICE Pair operator()(Pair x, Pair y) const {
    return y.a > x.a || (y.a == x.a && y.b < x.b) ? y : x;
  }
};
constexpr Pair kWorst{INT64_MIN, INT64_MAX};

struct Crossing {
  int lane;
  int64_t above, within;  // mass before that lane, mass of that lane
};

// The lane at which the mass counted from `above` on satisfies `reached`.
template <class Team, class Reached>
MAS_DEVICE Crossing crossing(const Team& team, int64_t mass, int64_t above, Reached reached) {
  int64_t upto = mass;
  for (int offset = 1; offset < 32; offset *= 2) {
    const int64_t other = team.shuffle_up(upto, offset);
    if (team.lane() >= offset) upto += other;
  }
  upto += above;
  const int lane = team.first_lane(reached(upto) && !reached(upto - mass));
  return {lane, team.shuffle(upto - mass, lane), team.shuffle(mass, lane)};
}

// The digit, from the largest down, at which the mass counted from `above` on satisfies `reached`;
// as `lane`. digit(token, key) is -1 where a token does not take part.
template <class Team, class Tokens, class Key, class Digit, class Mass, class Reached>
MAS_DEVICE Crossing find_digit(Context<Team>& c, const Tokens& tokens, const Key& key, Digit digit,
                               Mass mass, Reached reached, int64_t above) {
  const Team& team = c.team;
  auto& histogram = c.shared.histogram[c.half];
  MAS_ROLLED for (int d = team.thread; d < 1 << kDigitBits; d += Team::kThreads)
      histogram.fine[d] = {0, 0};
  team.sync_block();
  tokens.each(key, [&](int token, float, uint64_t k) {
    const int d = digit(token, k);
    if (d >= 0) histogram.fine[d].add(team, mass(k));
  });
  team.sync_block();
  MAS_ROLLED for (int coarse = team.warp(); coarse < 32; coarse += Team::kWarps) {
    int64_t sum = histogram.fine[32 * coarse + team.lane()].value();
    for (int offset = 16; offset; offset /= 2) sum += team.shuffle_xor(sum, offset);
    if (team.lane() < Team::kBlocks)
      *team.of(&histogram.coarse[team.rank][coarse], team.lane()) = sum;
  }
  team.sync();

  // Every warp for itself: the largest digit is lane 0.
  int64_t sum = 0;
  for (int block = 0; block < Team::kBlocks; ++block)
    sum += histogram.coarse[block][31 - team.lane()];
  const Crossing coarse = crossing(team, sum, above, reached);
  const int least = 32 * (31 - coarse.lane);
  sum = 0;
  for (int block = 0; block < Team::kBlocks; ++block)
    sum += team.of(&histogram, block)->fine[least + 31 - team.lane()].value();
  const Crossing fine = crossing(team, sum, coarse.above, reached);
  c.half ^= 1;
  return {least + 31 - fine.lane, fine.above, fine.within};
}

struct Selected {
  uint64_t least;
  int64_t above;  // mass of what is larger
  bool all;       // whether all that equal `least` are kept
};

// The least part(token, key) that is kept: a radix selection from the top digit down. part is -1
// where a token does not take part; mass_of(least) is at most the mass of any that is not smaller.
template <int kBits, class Team, class Tokens, class Key, class Part, class Mass, class MassOf,
          class Reached>
MAS_DEVICE Selected select(Context<Team>& c, const Tokens& tokens, const Key& key, Part part,
                           Mass mass, MassOf mass_of, Reached reached, int64_t above) {
  uint64_t prefix = 0;
  int shift = kBits;
  while (true) {
    const int bits = shift < kDigitBits ? shift : kDigitBits;
    shift -= bits;
    const auto digit = [&](int token, uint64_t k) {
      const int64_t p = part(token, k);
      return p >= 0 && static_cast<uint64_t>(p) >> shift >> bits == prefix
                 ? static_cast<int>(p >> shift & ((1 << bits) - 1))
                 : -1;
    };
    const Crossing found = find_digit(c, tokens, key, digit, mass, reached, above);
    prefix = prefix << bits | static_cast<uint64_t>(found.lane);
    above = found.above;
    const uint64_t least = prefix << shift;
    // Where all of the digit are needed, the digits below it are not.
    const bool all = !reached(above + found.within - mass_of(least));
    if (all || shift == 0) return {least, above, all};
  }
}

// find_cut of core/sampler.cpp. Where only some of the equal keys are kept, ids are selected too,
// reversed so that the lowest come first.
template <int kBits, class Team, class Tokens, class Key, class Mass, class Reached>
MAS_DEVICE Cut find_cut(Context<Team>& c, const Tokens& tokens, const Key& key, Mass mass,
                        Reached reached) {
  const auto itself = [](int, uint64_t k) { return static_cast<int64_t>(k); };
  const Selected s = select<kBits>(c, tokens, key, itself, mass, mass, reached, 0);
  if (s.all) return {s.least, INT32_MAX};
  constexpr int kIdBits = 22, kLastId = (1 << kIdBits) - 1;  // kMaxVocab
  const int64_t one = mass(s.least);
  const auto constant = [one](uint64_t) { return one; };
  const auto id = [&](int token, uint64_t k) {
    return k == s.least ? int64_t{kLastId - token} : int64_t{-1};
  };
  const Selected t = select<kIdBits>(c, tokens, key, id, constant, constant, reached, s.above);
  return {s.least, kLastId - static_cast<int32_t>(t.least)};
}

// The random words of the four tokens that this one is among.
MAS_DEVICE PhiloxBlock random_words(uint64_t seed, uint32_t sample, uint32_t position, int token) {
  return philox4x32({static_cast<uint32_t>(token) >> 2, position, sample, 0},
                    static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32));
}
MAS_DEVICE uint32_t word_of(const PhiloxBlock& b, int token) {
  const uint32_t even = token & 2 ? b.x2 : b.x0, odd = token & 2 ? b.x3 : b.x1;
  return token & 1 ? odd : even;
}

MAS_DEVICE_CALL int64_t exact_score(uint64_t seed, uint32_t sample, uint32_t position, int token,
                                    float logit) {
  const PhiloxBlock words = random_words(seed, sample, position, token);
  return ordered(static_cast<double>(logit) + gumbel(word_of(words, token)));
}

// Within 3 units in the last place; within 2^-21 from 1/2 to 2.
MAS_DEVICE float coarse_log(float x) {
#if defined(__CUDA_ARCH__)
  return __logf(x);
#else
  return std::log(x);
#endif
}

// gumbel() within 1e-4, in fp32. Near u = 1, log u = log(1 - v) is a series in v.
MAS_DEVICE float coarse_gumbel(uint32_t random) {
  const float u = (static_cast<float>(random) + 0.5f) * 0x1p-32f;
  const float v = (static_cast<float>(~random) + 0.5f) * 0x1p-32f;
  const float series = v * (1.0f + v * (0.5f + v * (0x1.555556p-2f + v * 0.25f)));
  return -coarse_log(random < 0xe0000000u ? -coarse_log(u) : series);
}

// How far a coarse score may be from the exact one, ten times over: that of the noise, and
// roundings of the sum. Finite, so that infinities stay themselves.
MAS_DEVICE float slack(float score) {
  const float size = score < 0 ? -score : score;
  return 0x1p-10f + (size < 0x1.fffffep127f ? size : 0x1.fffffep127f) * 0x1p-22f;
}

// logit + noise in fp32, as its bits.
struct CoarseScore {
  uint64_t seed;
  uint32_t sample, position;
  struct Group {
    PhiloxBlock words;
    MAS_DEVICE uint64_t operator()(int j, float logit) const {
      return static_cast<uint32_t>(bits_of(logit + coarse_gumbel(word_of(words, j))));
    }
  };
  MAS_DEVICE Group group(int first) const { return {random_words(seed, sample, position, first)}; }
  MAS_DEVICE static float score(uint64_t key) { return float_of(static_cast<int32_t>(key)); }
};

// The token with the largest logit + noise. fp64 is slow on most GPUs: fp32 tells which tokens of a
// warp can have it, mostly one or two.
template <class Team, class Tokens>
MAS_DEVICE Pair draw(Context<Team>& c, Tokens& tokens, const RowSettings& s) {
  const CoarseScore coarse{s.seed, s.sample, s.position};
  tokens.rank(coarse);
  int32_t most = INT32_MIN;
  tokens.each(coarse, [&](int, float, uint64_t k) {
    const int32_t score = ordered(CoarseScore::score(k));
    most = score > most ? score : most;
  });
  most = c.team.max_of_warp(most);
  // Without a token in this warp, this is a NaN that nothing is compared with.
  const float best = ordered_float(most), least = best - slack(best);
  Pair found = kWorst;
  tokens.each(coarse, [&](int token, float logit, uint64_t k) {
    const float score = CoarseScore::score(k);
    if (score + slack(score) >= least)
      found = Better{}(found, {exact_score(s.seed, s.sample, s.position, token, logit), token});
  });
  return reduce(c, found, Better{});
}

// The token of a row, or -1 - i where token i is the first NaN. kept (may be null) becomes 1 where
// a token could have been drawn and 0 elsewhere. The tokens have been read.
template <class Team, class Tokens>
MAS_DEVICE int32_t sample_row(Context<Team>& c, Tokens& tokens, const RowSettings& s, int vocab,
                              uint8_t* kept) {
  c.team.arrive();
  constexpr int64_t kNan = INT64_MAX;
  Pair best = kWorst;
  tokens.mix(s, [&](int token, float logit) {
    if (kept) kept[token] = 0;
    best = Better{}(best, {logit == logit ? ordered(logit) : kNan, token});
  });
  c.team.wait();  // the shared memory of a block can be written once it runs
  best = reduce(c, best, Better{});
  if (best.a == kNan) return -1 - static_cast<int32_t>(best.b);
  const float max = ordered_float(static_cast<int32_t>(best.a));

  const LogitKey by_logit;
  if (s.temperature == 0) {
    tokens.rank(by_logit);
    tokens.keep(by_logit, Cut{by_logit(0, max), static_cast<int32_t>(best.b)});
  } else {
    if (s.top_k > 0 && s.top_k < vocab) {
      const auto one = [](uint64_t) { return int64_t{1}; };
      const auto reached = [&](int64_t sum) { return sum >= s.top_k; };
      tokens.rank(by_logit);
      tokens.keep(by_logit, find_cut<32>(c, tokens, by_logit, one, reached));
    }
    if (s.top_p > 0) {
      const WeightKey by_weight{max};
      const auto weight = [](uint64_t k) { return WeightKey::weight(k); };
      tokens.rank(by_weight);
      Pair total{0, 0};
      tokens.each(by_weight, [&](int, float, uint64_t k) { total.a += weight(k); });
      total = reduce(c, total, [](Pair x, Pair y) { return Pair{x.a + y.a, 0}; });
      const double target = s.top_p * static_cast<double>(total.a);
      const auto reached = [&](int64_t sum) { return static_cast<double>(sum) >= target; };
      tokens.keep(by_weight, find_cut<46>(c, tokens, by_weight, weight, reached));
    }
    best = draw(c, tokens, s);
  }
  if (kept) tokens.each(by_logit, [&](int token, float, uint64_t) { kept[token] = 1; });
  return static_cast<int32_t>(best.b);
}

// One row of a decode step.
template <class Team, template <class> class Tokens>
MAS_DEVICE void sample_step_row(const Team& team, Shared<Team>& shared, void* memory,
                                const SampleStep& step, int64_t row) {
  Tokens<Team> tokens(team, memory, step.vocab);
  // Before the settings are known: they are three reads that wait for one another.
  tokens.fetch(step.logits + row * step.vocab,
               step.uncond ? step.uncond + row * step.vocab : nullptr);
  StepRow r = step_row(step, row);
  tokens.wait();
  if (r.token == kUndecided) {
    Context<Team> context{team, shared};
    r.token = drawn_of(sample_row(context, tokens, r.settings, step.vocab, nullptr));
  }
  if (team.rank == 0 && team.thread == 0) step.drawn[row] = r.token;
}

}  // namespace mas
