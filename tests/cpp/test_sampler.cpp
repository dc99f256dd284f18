#include "core/sampler.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "check.h"
#include "core/exact_math.h"
#include "core/philox.h"

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Result {
  int32_t token;
  std::vector<uint8_t> kept;
  bool operator==(const Result&) const = default;
};

// sample() with poisoned scratch; nothing outside scratch and kept may be written.
Result run(const std::vector<float>& cond, const std::vector<float>& uncond,
           const mas::Sampling& sampling, const mas::Draw& draw, mas::Isa isa) {
  const int vocab = static_cast<int>(cond.size());
  constexpr size_t kGuard = 64;
  const size_t bytes = mas::sampler_scratch_bytes(vocab);
  std::vector<double> memory((bytes + 2 * kGuard) / sizeof(double) + 1);
  auto* scratch = reinterpret_cast<unsigned char*>(memory.data());
  std::memset(scratch, 0xff, memory.size() * sizeof(double));
  std::vector<uint8_t> kept(vocab + 2 * kGuard, 42);
  const float* u = uncond.empty() ? nullptr : uncond.data();
  const int32_t token = mas::sample(cond.data(), u, vocab, sampling, draw, scratch + kGuard,
                                    kept.data() + kGuard, isa);
  const auto untouched = [](unsigned char byte) { return byte == 0xff; };
  CHECK(std::all_of(scratch, scratch + kGuard, untouched));
  CHECK(std::all_of(scratch + kGuard + bytes, scratch + 2 * kGuard + bytes, untouched));
  const auto guard = [](uint8_t byte) { return byte == 42; };
  CHECK(std::all_of(kept.begin(), kept.begin() + kGuard, guard));
  CHECK(std::all_of(kept.end() - kGuard, kept.end(), guard));
  return {token, {kept.begin() + kGuard, kept.end() - kGuard}};
}

// The definition by sorting, one token at a time.
Result oracle(const std::vector<float>& cond, const std::vector<float>& uncond,
              const mas::Sampling& s, const mas::Draw& draw) {
  const int vocab = static_cast<int>(cond.size());
  const float guidance = static_cast<float>(s.guidance),
              temperature = static_cast<float>(s.temperature);
  std::vector<float> logit = cond;
  for (int i = 0; i < vocab; ++i) {
    if (!uncond.empty()) {
      const float difference = cond[i] - uncond[i];
      const float scaled = guidance * difference;
      logit[i] = uncond[i] + scaled;
    }
    if (temperature != 0) logit[i] /= temperature;
  }
  std::vector<int> order(vocab);
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int a, int b) { return logit[a] > logit[b]; });
  Result result{order[0], std::vector<uint8_t>(vocab)};
  if (temperature == 0) {
    result.kept[order[0]] = 1;
    return result;
  }
  const float max = logit[order[0]];
  if (s.top_k < vocab) order.resize(static_cast<size_t>(s.top_k));
  if (s.top_p) {
    std::sort(order.begin(), order.end());
    std::vector<int64_t> weight(vocab);
    int64_t total = 0;
    for (int i : order) {
      weight[i] = logit[i] == max
                      ? int64_t{1} << 40
                      : std::llrint(mas::exact_exp(double(logit[i]) - double(max)) * 0x1p40);
      total += weight[i];
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](int a, int b) { return weight[a] > weight[b]; });
    int64_t sum = 0;
    size_t count = 0;
    while (count == 0 || double(sum) < *s.top_p * double(total)) sum += weight[order[count++]];
    order.resize(count);
  }
  std::sort(order.begin(), order.end());
  result.token = -1;
  double best = 0;
  for (int i : order) {
    result.kept[i] = 1;
    const mas::PhiloxBlock b = mas::philox4x32({uint32_t(i) / 4, draw.position, draw.sample, 0},
                                               uint32_t(draw.seed), uint32_t(draw.seed >> 32));
    const uint32_t random[] = {b.x0, b.x1, b.x2, b.x3};
    const double score = double(logit[i]) + mas::gumbel(random[i % 4]);
    if (result.token < 0 || score > best) {
      best = score;
      result.token = i;
    }
  }
  return result;
}

void test_philox() {
  // Random123, kat_vectors: philox4x32 10.
  const uint32_t vectors[3][10] = {
      {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
      {~0u, ~0u, ~0u, ~0u, ~0u, ~0u, 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
      {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
       0x94fdcceb, 0x5001e420, 0x24126ea1}};
  for (const auto& v : vectors) {
    const mas::PhiloxBlock b = mas::philox4x32({v[0], v[1], v[2], v[3]}, v[4], v[5]);
    CHECK(b.x0 == v[6] && b.x1 == v[7] && b.x2 == v[8] && b.x3 == v[9]);
  }
}

void test_exact_math() {
  std::mt19937_64 random(1);
  const auto ulps = [](double got, long double want) {
    return double(std::fabs(got - want) / (std::nextafter(double(want), 1e300) - double(want)));
  };
  double exp_error = 0, log_error = 0;
  for (int i = 0; i < 200000; ++i) {
    const double x = -std::ldexp(double(random() >> 11), -53 - int(random() % 30)) * 700;
    exp_error = std::max(exp_error, ulps(mas::exact_exp(x), expl(x)));
    const double u = (double(uint32_t(random())) + 0.5) * 0x1p-32;
    log_error = std::max(log_error, ulps(-mas::exact_log(u), -logl(u)));
    const double y = -std::log(u);
    if (y > 1) log_error = std::max(log_error, ulps(mas::exact_log(y), logl(y)));
    if (y < 1) log_error = std::max(log_error, ulps(-mas::exact_log(y), -logl(y)));
  }
  std::printf("exact_exp within %.3f ulp, exact_log within %.3f ulp\n", exp_error, log_error);
  CHECK(exp_error < 1);
  CHECK(log_error < 1);
  CHECK(mas::exact_exp(0) == 1 && mas::exact_exp(-0.0) == 1 && mas::exact_log(1) == 0);
  CHECK(mas::exact_exp(-709) == 0 && mas::exact_exp(-1e300) == 0 && mas::exact_exp(-kInf) == 0);
  CHECK(std::isfinite(mas::gumbel(0)) && std::isfinite(mas::gumbel(~0u)));
}

// Rows made to hurt: ties, infinities, one-hot, logits an ulp apart, signed zeros.
std::vector<float> adversarial_row(int kind, int vocab, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> row(vocab);
  for (float& l : row) {
    const uint32_t r = random();
    switch (kind) {
      case 0:
        l = 3 * normal(random);
        break;
      case 1:
        l = float(r % 3);
        break;
      case 2:
        l = r % 4 ? normal(random) : -kInf;
        break;
      case 3:
        l = r % 4 ? normal(random) : kInf;
        break;
      case 4:
        l = -kInf;
        break;
      case 5:
        l = r % 2 ? 0.0f : -0.0f;
        break;
      case 6:
        l = std::nextafter(1.0f, 2.0f) + float(r % 4) * 0x1p-23f;
        break;
      case 7:
        l = -float(r % 60);
        break;  // weights from 2^40 down to 0
      case 8:
        l = 1e30f * normal(random);
        break;
      default:
        l = 0x1p-140f * float(r % 1000);
        break;  // denormal
    }
  }
  if (kind == 4) row[random() % vocab] = 0;
  return row;
}

void test_against_oracle() {
  std::mt19937 random(7);
  const auto pick = [&](auto... values) {
    const std::vector all = {values...};
    return all[random() % all.size()];
  };
  const std::vector<mas::Isa> isas = mas::supported_isas();
  for (int round = 0; round < 40000; ++round) {
    const int vocab = pick(1, 2, 3, 4, 5, 15, 16, 17, 31, 64, 100, round % 50 ? 8 : 2100);
    const int kind = round % 10;
    std::vector<float> cond = adversarial_row(kind, vocab, random), uncond;
    if (kind < 2 && round % 3 == 0) uncond = adversarial_row(kind, vocab, random);
    mas::Sampling s;
    s.guidance = uncond.empty() ? 1 : pick(0.0, 1.0, 3.5, -2.0);
    s.temperature = pick(1.0, 1.0, 0.0, 0.7, 30.0);
    s.top_k = pick(mas::kAll, mas::kAll, int64_t{1}, int64_t{2}, int64_t{vocab}, int64_t{vocab} + 1,
                   int64_t(1 + random() % vocab));
    if (random() % 2) s.top_p = pick(1.0, 0.5, 0.9, 1e-9, 5e-324, 1 - 0x1p-53);
    const mas::Draw draw{uint64_t{random()} << 32 | random(), uint32_t(random()),
                         uint32_t(random())};
    const Result want = oracle(cond, uncond, s, draw);
    for (mas::Isa isa : isas) CHECK(run(cond, uncond, s, draw, isa) == want);
  }
}

void test_bad_input() {
  const auto message = [](const std::vector<float>& cond, const mas::Sampling& s) -> std::string {
    try {
      run(cond, {}, s, {}, mas::best_isa());
    } catch (const std::exception& e) {
      return e.what();
    }
    return "";
  };
  const std::vector<float> row(37, 1.0f);
  const auto throws = [&](const mas::Sampling& s, const char* name, const char* value) {
    const std::string text = message(row, s);
    CHECK(text.find(name) != std::string::npos && text.find(value) != std::string::npos);
    CHECK_THROWS(mas::check(s), std::invalid_argument);
  };
  throws({kNan}, "guidance", "nan");
  throws({1e39}, "guidance", "1e+39");
  throws({1, -0.5}, "temperature", "-0.5");
  throws({1, kInf}, "temperature", "inf");
  throws({1, kNan}, "temperature", "nan");
  throws({1, 1, 0}, "top_k", "0");
  throws({1, 1, -3}, "top_k", "-3");
  throws({1, 1, mas::kAll, 0.0}, "top_p", "0");
  throws({1, 1, mas::kAll, 1.5}, "top_p", "1.5");
  throws({1, 1, mas::kAll, kNan}, "top_p", "nan");
  CHECK_THROWS(mas::check_vocab(0), std::invalid_argument);
  CHECK_THROWS(mas::check_vocab(int64_t{mas::kMaxVocab} + 1), std::invalid_argument);

  for (mas::Isa isa : mas::supported_isas())
    for (double temperature : {0.0, 1.0})
      for (size_t i = 0; i < row.size(); ++i) {
        std::vector<float> bad = row;
        bad[i] = kNan;
        bad.back() = kNan;
        CHECK_THROWS(run(bad, {}, {1, temperature}, {}, isa), std::domain_error);
        std::vector<double> scratch(mas::sampler_scratch_bytes(37) / sizeof(double) + 1);
        CHECK(mas::sample_or_nan(bad.data(), nullptr, 37, {1, temperature}, {}, scratch.data(),
                                 nullptr, isa) == -1 - static_cast<int32_t>(i));
      }
  const std::vector<float> inf(4, kInf);
  CHECK_THROWS(run(inf, inf, {2}, {}, mas::best_isa()), std::domain_error);  // inf - inf
}

}  // namespace

int main() {
  test_philox();
  test_exact_math();
  test_against_oracle();
  test_bad_input();
  return check::finish();
}
