// The row algorithm of the CUDA sampler (csrc/cuda/sampler.cuh), compiled for a CPU, against the
// core's sampler: tokens and kept sets to the bit.
#include "cuda/sampler.cuh"

#include <algorithm>
#include <limits>
#include <numeric>
#include <optional>
#include <random>
#include <vector>

#include "check.h"
#include "core/sampler.h"
#include "cpu_team.h"

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

// body(team, shared, memory) by all threads of a team whose shared memory holds what it likes.
template <class Team, template <class> class Tokens, class Body>
void run_team(int vocab, std::mt19937_64& random, Body body) {
  const size_t bytes = Tokens<Team>::bytes(vocab) / sizeof(mas::TwoKeys) + 1;
  std::vector<mas::Shared<Team>> shared(Team::kBlocks);
  std::memset(static_cast<void*>(shared.data()), 0xa5, shared.size() * sizeof(shared[0]));
  std::vector<mas::TwoKeys> memory(bytes * Team::kBlocks, {{~0ull, ~0ull}});
  typename Team::World world;
  world.shared = reinterpret_cast<char*>(shared.data());
  world.shared_end = reinterpret_cast<char*>(shared.data() + Team::kBlocks);
  std::vector<int> order(Team::kBlocks * Team::kThreads);
  std::iota(order.begin(), order.end(), 0);
  std::shuffle(order.begin(), order.end(), random);
  const bool finished = world.fibers.run(order, [&](int i) {
    const int rank = i / Team::kThreads;
    world.runs[rank] = true;
    body(Team{&world, rank, i % Team::kThreads}, shared[rank], memory.data() + bytes * rank);
  });
  CHECK(finished);
  CHECK(world.too_early == 0);
}

std::vector<float> logits_of(int kind, int vocab, std::mt19937_64& random) {
  std::normal_distribution<float> normal;
  const int one = static_cast<int>(random() % vocab);
  std::vector<float> logits(vocab);
  for (int i = 0; i < vocab; ++i) {
    const float x = normal(random);
    const int whole = static_cast<int>(random() % 4);
    switch (kind) {
      case 0:
        logits[i] = 3 * x;
        break;
      case 1:
        logits[i] = static_cast<float>(whole);
        break;
      case 2:
        logits[i] = whole ? x : -kInf;
        break;
      case 3:
        logits[i] = whole ? x : kInf;
        break;
      case 4:
        logits[i] = i == one ? 0 : -kInf;
        break;
      case 5:
        logits[i] = whole < 2 ? 0.0f : -0.0f;
        break;
      case 6:
        logits[i] = 1 + static_cast<float>(whole) * 0x1p-23f;
        break;
      case 7:
        logits[i] = -static_cast<float>(random() % 60) * 0.6931472f;
        break;
      case 8:
        logits[i] = x * 1e38f;
        break;
      case 9:
        logits[i] = static_cast<float>(whole) * 0x1p-149f;
        break;
      case 10:
        logits[i] = -kInf;
        break;
      case 11:
        logits[i] = i >= one && whole == 0 ? kNan : x;
        break;
      default:
        logits[i] = x + (i == one ? 40.0f : 0.0f);
    }
  }
  return logits;
}

struct Case {
  int vocab;
  std::vector<float> cond, uncond;  // uncond may be empty
  mas::RowSettings settings;
};

Case random_case(int index, int vocab, std::mt19937_64& random) {
  const auto of = [&](auto... values) {
    const double all[] = {static_cast<double>(values)...};
    return all[random() % sizeof...(values)];
  };
  Case c{vocab, logits_of(index % 13, vocab, random), {}, {}};
  if (random() % 2) c.uncond = logits_of(index % 13, vocab, random);
  c.settings = {!c.uncond.empty() && random() % 4,
                static_cast<float>(of(3, 0, -1.5)),
                static_cast<float>(of(1, 1, 0, 0.7, 30, 1e-3)),
                static_cast<int64_t>(of(0, 0, 1, 2, vocab, vocab + 1, (vocab + 1) / 2)),
                of(0, 0, 1, 0.5, 0.9, 1e-9, 5e-324, 1 - 0x1p-53),
                random(),
                static_cast<uint32_t>(random()),
                static_cast<uint32_t>(random())};
  return c;
}

int32_t core_sample(const Case& c, const mas::RowSettings& s, uint8_t* kept) {
  std::vector<double> scratch(mas::sampler_scratch_bytes(c.vocab) / sizeof(double) + 1);
  const mas::Sampling sampling{s.guidance, s.temperature, s.top_k ? s.top_k : mas::kAll,
                               s.top_p != 0 ? std::optional(s.top_p) : mas::kOff};
  return mas::sample_or_nan(c.cond.data(), s.guided ? c.uncond.data() : nullptr, c.vocab, sampling,
                            {s.seed, s.sample, s.position}, scratch.data(), kept,
                            mas::Isa::generic);
}

template <class Team, template <class> class Tokens>
void check_row(const Case& c, std::mt19937_64& random) {
  std::vector<uint8_t> want(c.vocab), kept(c.vocab + 2, 42);
  const int32_t token = core_sample(c, c.settings, want.data());
  int wrong = 0;
  const float* uncond = c.uncond.empty() ? nullptr : c.uncond.data();
  run_team<Team, Tokens>(c.vocab, random, [&](const Team& team, auto& shared, void* memory) {
    Tokens<Team> tokens(team, memory, c.vocab);
    tokens.fetch(c.cond.data(), uncond);
    tokens.wait();
    mas::Context<Team> context{team, shared};
    wrong += token != sample_row(context, tokens, c.settings, c.vocab, kept.data() + 1);
  });
  CHECK(wrong == 0);
  CHECK(kept.front() == 42 && kept.back() == 42);
  CHECK(std::equal(want.begin(), want.end(), kept.begin() + 1));
}

template <class Team>
void test_rows(int count, const std::vector<int>& vocabs) {
  std::mt19937_64 random(Team::kBlocks * 1000 + Team::kThreads);
  for (int index = 0; index < count; ++index) {
    const Case c = random_case(index, vocabs[random() % vocabs.size()], random);
    check_row<Team, mas::HeldTokens>(c, random);
    check_row<Team, mas::ReadTokens>(c, random);
  }
}

// Two sequences with a window of three rows: forced, idle, guided by position, NaN.
void test_steps() {
  using Team = CpuTeam<2, 32>;
  constexpr int kVocab = 37, kWindow = 3, kPositions = 6, kEnd = 5, kRows = 2 * kWindow;
  std::mt19937_64 random(3);
  int idle = 0, forced_rows = 0, nan = 0, drawn_rows = 0;
  for (int index = 0; index < 40; ++index) {
    std::vector<float> cond, uncond, guidance(2 * kPositions);
    for (int row = 0; row < kRows; ++row)
      for (auto* logits : {&cond, &uncond}) {
        const auto more = logits_of(static_cast<int>(random() % 13), kVocab, random);
        logits->insert(logits->end(), more.begin(), more.end());
      }
    std::vector<int32_t> forced(2 * kPositions), first(2), top_k{0, 5}, drawn(kRows, 42);
    for (auto& token : forced) token = random() % 5 ? -1 : static_cast<int32_t>(random() % kVocab);
    for (auto& scale : guidance) scale = random() % 2 ? 1.0f : 2.5f;
    for (auto& position : first) position = static_cast<int32_t>(random() % kPositions) - 1;
    const std::vector<float> temperature{0.7f, 1.0f};
    const std::vector<double> top_p{0.9, 0};
    const std::vector<int64_t> seed{-3, 9}, sample{7, 1ll << 31};
    const mas::SampleStep step{cond.data(),     index % 4 ? uncond.data() : nullptr,
                               first.data(),    forced.data(),
                               guidance.data(), temperature.data(),
                               top_k.data(),    top_p.data(),
                               seed.data(),     sample.data(),
                               drawn.data(),    kRows,
                               kVocab,          kWindow,
                               kPositions,      kEnd};
    for (int row = 0; row < kRows; ++row) {
      run_team<Team, mas::HeldTokens>(kVocab, random, [&](const Team& team, auto& shared, void* m) {
        mas::sample_step_row<Team, mas::HeldTokens>(team, shared, m, step, row);
      });
      const int b = row / kWindow, position = first[b] + 1 + row % kWindow;
      const int at = b * kPositions + position;
      int32_t want = -1;
      if (position >= kEnd) {
        ++idle;
      } else if (forced[at] >= 0) {
        want = forced[at];
        ++forced_rows;
      } else {
        const auto part = [&](const std::vector<float>& logits) {
          const auto begin = logits.begin() + row * kVocab;
          return std::vector<float>(begin, begin + kVocab);
        };
        const Case c{kVocab, part(cond), part(uncond), {}};
        want = core_sample(c,
                           {step.uncond && guidance[at] != 1, guidance[at], temperature[b],
                            top_k[b], top_p[b], static_cast<uint64_t>(seed[b]),
                            static_cast<uint32_t>(sample[b]), static_cast<uint32_t>(position)},
                           nullptr);
        if (want < 0) --want;
        ++(want < 0 ? nan : drawn_rows);
      }
      CHECK(drawn[row] == want);
    }
  }
  CHECK(idle && forced_rows && nan && drawn_rows);
}

// The noise that chooses which tokens need the exact one, at 2^22 words and near the ends.
void test_coarse_gumbel() {
  double error = 0;
  const auto look = [&](uint32_t random) {
    error = std::max(error, std::fabs(mas::coarse_gumbel(random) - mas::gumbel(random)));
  };
  for (uint32_t i = 0; i < 1u << 22; ++i) look(i << 10 | (i & 1023));
  for (uint32_t i = 0; i < 1u << 16; ++i) {
    look(i);
    look(~i);
    look(0xe0000000u - (1u << 15) + i);
  }
  std::printf("coarse_gumbel within %.2e\n", error);
  CHECK(error < 1e-4);
}

}  // namespace

int main() {
  test_coarse_gumbel();
  test_rows<CpuTeam<1, 32>>(260, {1, 2, 3, 5, 16, 33, 64, 300});
  test_rows<CpuTeam<1, 64>>(52, {1, 3, 64, 255, 1028});
  test_rows<CpuTeam<2, 64>>(39, {4, 65, 300, 1027});
  test_rows<CpuTeam<8, 32>>(13, {1, 300, 1027, 4096});
  test_rows<CpuTeam<8, 256>>(1, {16384});
  test_steps();
  return check::finish();
}
