// The logits of a row, each belonging to one thread of a team: HeldTokens keeps them in shared
// memory; ReadTokens computes them anew whenever they are asked for, and so has room for any
// vocabulary. Both have the same functions:
//   fetch(cond, uncond)  begins to read the row
//   wait()               until it has been read
//   mix(settings, f)     guidance and temperature: f(token, logit) for every token, NaN too
//   rank(key)            from here on each() gives these keys
//   each(key, f)         f(token, logit, key) for the tokens still kept, ids ascending
//   keep(key, cut)       drops those whose key is below the cut
// key.group(first)(j, logit) is the key of the token first + j, for four tokens at a time.
// Only the thread that owns a token ever looks at it, so none of them needs a barrier.
#pragma once

#include <cstddef>
#include <cstdint>

#include "../core/exact_math.h"
#include "../core/sample_step.h"

// Loops of few turns stay loops: code that runs once is bound by how fast it can be read.
#if defined(__CUDACC__)
#define MAS_DEVICE __device__ __forceinline__
#define MAS_ROLLED _Pragma("unroll 1")
#else
#define MAS_DEVICE inline
#define MAS_ROLLED
#endif

namespace mas {

// Keeps everything with a larger key, and with this key everything up to the token `last`.
struct Cut {
  uint64_t key;
  int32_t last;
  MAS_DEVICE bool keeps(uint64_t k, int token) const {
    return k > key || (k == key && token <= last);
  }
};

struct LogitKey {
  MAS_DEVICE LogitKey group(int) const { return *this; }
  MAS_DEVICE uint64_t operator()(int, float logit) const {
    return static_cast<uint32_t>(ordered(logit)) ^ 0x80000000u;
  }
};

// 46 bits; see keep_top_p in core/sampler.cpp.
struct WeightKey {
  float max;
  MAS_DEVICE WeightKey group(int) const { return *this; }
  MAS_DEVICE uint64_t operator()(int, float logit) const {
    const int64_t bits = bits_of(top_p_weight(logit, max)) - bits_of(0.5);
    return bits > 0 ? static_cast<uint64_t>(bits) >> 12 : 0;
  }
  MAS_DEVICE static int64_t weight(uint64_t key) {
    return key ? static_cast<int64_t>(double_of(static_cast<int64_t>(key << 12) + bits_of(0.5)))
               : 0;
  }
};

struct alignas(16) FourFloats {
  float x[4];
};
struct alignas(16) TwoKeys {
  uint64_t x[2];
};

MAS_DEVICE float mixed(float c, float u, const RowSettings& s) {
  float logit = s.guided ? u + s.guidance * (c - u) : c;
  if (s.temperature != 0) logit = logit / s.temperature;
  return logit + 0.0f;  // -0.0 becomes 0.0
}

// A thread owns groups of four tokens, which share a block of Philox. Neighbouring warps of tokens
// go to the blocks of the team in turn.
template <class Team>
struct Row {
  int rank, thread, vocab;
  const float *cond, *uncond;  // uncond may be null
  bool aligned;                // whole groups can be read at once

  MAS_DEVICE Row(const Team& team, int vocab_)
      : rank(team.rank), thread(team.thread), vocab(vocab_) {}

  MAS_DEVICE void point(const float* cond_, const float* uncond_) {
    cond = cond_;
    uncond = uncond_;
    const auto address = reinterpret_cast<uintptr_t>(cond) | reinterpret_cast<uintptr_t>(uncond);
    aligned = vocab % 4 == 0 && address % sizeof(FourFloats) == 0;
  }
  static constexpr int kTokens = 4 * Team::kThreads * Team::kBlocks;  // of one group a thread
  MAS_DEVICE int groups() const { return (vocab + kTokens - 1) / kTokens; }
  MAS_DEVICE int first(int group) const {
    const int warp = (group * Team::kWarps + thread / 32) * Team::kBlocks + rank;
    return 4 * (32 * warp + thread % 32);
  }
  MAS_DEVICE FourFloats read(const float* row, int first) const {
    if (aligned && first < vocab) return *reinterpret_cast<const FourFloats*>(row + first);
    FourFloats values{};
    for (int j = 0; j < 4; ++j)
      if (first + j < vocab) values.x[j] = row[first + j];
    return values;
  }
  // The same to shared memory, while the thread goes on. Beyond the row nothing is written.
  MAS_DEVICE void copy(FourFloats* to, const float* row, int first) const {
    if (aligned && first < vocab) return Team::template copy<sizeof(FourFloats)>(to, row + first);
    for (int j = 0; j < 4; ++j)
      if (first + j < vocab) Team::template copy<sizeof(float)>(&to->x[j], row + first + j);
  }
};

template <class Team>
class HeldTokens {
 public:
  MAS_DEVICE HeldTokens(const Team& team, void* memory, int vocab)
      : row_(team, vocab), keys_(static_cast<TwoKeys*>(memory)) {
    logits_ = reinterpret_cast<FourFloats*>(keys_ + 2 * row_.groups() * Team::kThreads);
  }

  // The bytes of shared memory that each block needs.
  static constexpr size_t bytes(int vocab) {
    const size_t groups =
        (static_cast<size_t>(vocab) + Row<Team>::kTokens - 1) / Row<Team>::kTokens;
    return groups * Team::kThreads * (2 * sizeof(TwoKeys) + sizeof(FourFloats));
  }

  // The unconditional logits wait where the keys will be.
  MAS_DEVICE void fetch(const float* cond, const float* uncond) {
    row_.point(cond, uncond);
    MAS_ROLLED for (int group = 0; group < row_.groups(); ++group) {
      row_.copy(&logits(group), cond, row_.first(group));
      if (uncond) row_.copy(waiting(group), uncond, row_.first(group));
    }
  }

  MAS_DEVICE void wait() const { Team::wait_for_copies(); }

  template <class Function>
  MAS_DEVICE void mix(const RowSettings& settings, Function function) {
    MAS_ROLLED for (int group = 0; group < row_.groups(); ++group) {
      const int first = row_.first(group);
      FourFloats logit = logits(group), u{};
      if (settings.guided) u = *waiting(group);
      for (int j = 0; j < 4; ++j) {
        logit.x[j] = mixed(logit.x[j], u.x[j], settings);
        if (first + j < row_.vocab)
          function(first + j, logit.x[j]);
        else
          logit.x[j] = kDropped;
      }
      logits(group) = logit;
    }
  }

  template <class Key>
  MAS_DEVICE void rank(Key key) {
    MAS_ROLLED for (int group = 0; group < row_.groups(); ++group) {
      const FourFloats logit = logits(group);
      if (!(kept(logit.x[0]) || kept(logit.x[1]) || kept(logit.x[2]) || kept(logit.x[3]))) continue;
      const auto of_group = key.group(row_.first(group));
      for (int j = 0; j < 4; ++j) keys(group, j / 2).x[j % 2] = of_group(j, logit.x[j]);
    }
  }

  template <class Key, class Function>
  MAS_DEVICE void each(const Key&, Function function) const {
    MAS_ROLLED for (int group = 0; group < row_.groups(); ++group) {
      const FourFloats logit = logits(group);
      const TwoKeys key[2] = {keys(group, 0), keys(group, 1)};
      for (int j = 0; j < 4; ++j)
        if (kept(logit.x[j])) function(row_.first(group) + j, logit.x[j], key[j / 2].x[j % 2]);
    }
  }

  template <class Key>
  MAS_DEVICE void keep(const Key&, const Cut& cut) {
    MAS_ROLLED for (int group = 0; group < row_.groups(); ++group) {
      for (int j = 0; j < 4; ++j)
        if (!cut.keeps(keys(group, j / 2).x[j % 2], row_.first(group) + j))
          logits(group).x[j] = kDropped;
    }
  }

 private:
  // Of a row that is drawn from, no logit is NaN.
  static constexpr float kDropped = __builtin_nanf("");
  MAS_DEVICE static bool kept(float logit) { return logit == logit; }

  MAS_DEVICE FourFloats& logits(int group) const {
    return logits_[group * Team::kThreads + row_.thread];
  }
  MAS_DEVICE TwoKeys& keys(int group, int half) const {
    return keys_[(2 * group + half) * Team::kThreads + row_.thread];
  }
  MAS_DEVICE FourFloats* waiting(int group) const {
    return reinterpret_cast<FourFloats*>(&keys(group, 0));
  }

  Row<Team> row_;
  TwoKeys* keys_;
  FourFloats* logits_;
};

template <class Team>
class ReadTokens {
 public:
  MAS_DEVICE ReadTokens(const Team& team, void*, int vocab) : row_(team, vocab) {}

  static constexpr size_t bytes(int) { return 0; }

  MAS_DEVICE void fetch(const float* cond, const float* uncond) { row_.point(cond, uncond); }

  MAS_DEVICE void wait() const {}

  template <class Function>
  MAS_DEVICE void mix(const RowSettings& settings, Function function) {
    settings_ = settings;
    MAS_ROLLED for (int group = 0; group < row_.groups(); ++group) {
      const FourFloats logit = logits(group);
      const int first = row_.first(group);
      for (int j = 0; j < 4; ++j)
        if (first + j < row_.vocab) function(first + j, logit.x[j]);
    }
  }

  template <class Key>
  MAS_DEVICE void rank(Key) {}

  template <class Key, class Function>
  MAS_DEVICE void each(const Key& key, Function function) const {
    MAS_ROLLED for (int group = 0; group < row_.groups(); ++group) {
      const FourFloats logit = logits(group);
      const int first = row_.first(group);
      const auto of_group = key.group(first);
      for (int j = 0; j < 4; ++j)
        if (first + j < row_.vocab && kept(first + j, logit.x[j]))
          function(first + j, logit.x[j], of_group(j, logit.x[j]));
    }
  }

  MAS_DEVICE void keep(const LogitKey&, const Cut& cut) { by_logit_ = cut; }
  MAS_DEVICE void keep(const WeightKey& key, const Cut& cut) {
    weight_ = key;
    by_weight_ = cut;
  }

 private:
  MAS_DEVICE FourFloats logits(int group) const {
    const int first = row_.first(group);
    const FourFloats u = settings_.guided ? row_.read(row_.uncond, first) : FourFloats{};
    FourFloats logit = row_.read(row_.cond, first);
    for (int j = 0; j < 4; ++j) logit.x[j] = mixed(logit.x[j], u.x[j], settings_);
    return logit;
  }
  MAS_DEVICE bool kept(int token, float logit) const {
    return by_logit_.keeps(LogitKey{}(0, logit), token) &&
           (by_weight_.key == 0 || by_weight_.keeps(weight_(0, logit), token));
  }

  Row<Team> row_;
  RowSettings settings_;
  Cut by_logit_{0, INT32_MAX}, by_weight_{0, INT32_MAX};  // a cut by weight never has the key 0
  WeightKey weight_{};
};

}  // namespace mas
