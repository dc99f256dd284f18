#include "core/vq.h"

#include <cstring>
#include <limits>
#include <random>
#include <stdexcept>
#include <vector>

#include "check.h"

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct Case {
  int64_t rows, codes, channels;
  std::vector<float> x, codebook;
};

// What makes nearest codes hard to tell apart.
enum Kind { normal, duplicates, grid, near, offset, tiny, huge, far, farther, mixed, zeros, kinds };

Case make(Kind kind, int64_t rows, int64_t codes, int64_t channels, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> gauss;
  Case c{rows, codes, channels, std::vector<float>(rows * channels),
         std::vector<float>(codes * channels)};
  const auto fill = [&](std::vector<float>& values, auto value) {
    for (float& v : values) v = value();
  };
  const auto whole = [&] { return float(int(random() % 3) - 1); };
  const auto plain = [&] { return gauss(random); };
  const auto wide = [&] { return std::ldexp(gauss(random), int(random() % 240) - 120); };
  fill(c.x, plain);
  fill(c.codebook, plain);
  const auto scale = [&](float factor) {
    for (float& v : c.x) v *= factor;
    for (float& v : c.codebook) v *= factor;
  };
  if (kind == duplicates)
    for (int64_t k = 1; k < codes; k += 2)
      std::memcpy(&c.codebook[k * channels], &c.codebook[(k / 3) * channels],
                  sizeof(float) * channels);
  if (kind == grid) fill(c.x, whole), fill(c.codebook, whole);
  if (kind == near)  // codes one unit in the last place apart, rows on top of them
    for (int64_t k = 0; k < codes; ++k)
      for (int64_t i = 0; i < channels; ++i)
        c.codebook[k * channels + i] = std::nextafter(float(i % 7), random() % 2 ? kInf : -kInf);
  if (kind == offset)
    for (auto* values : {&c.x, &c.codebook})
      for (float& v : *values) v = 1e4f + v;
  if (kind == tiny) scale(1e-38f);
  if (kind == huge) scale(3e37f);
  if (kind == far || kind == farther)  // where fp64 rounds distances to equal ones
    for (float& v : c.x) v *= kind == far ? 1e13f : 1e16f;
  if (kind == mixed) fill(c.x, wide), fill(c.codebook, wide);
  if (kind == zeros) fill(c.x, [] { return 0.0f; });
  return c;
}

std::vector<int64_t> oracle(const Case& c) {
  std::vector<int64_t> nearest(c.rows);
  for (int64_t row = 0; row < c.rows; ++row) {
    double least = std::numeric_limits<double>::infinity();
    for (int64_t k = 0; k < c.codes; ++k) {
      double sum = 0;
      for (int64_t i = 0; i < c.channels; ++i) {
        const double d = double(c.x[row * c.channels + i]) - double(c.codebook[k * c.channels + i]);
        sum += d * d;
      }
      if (sum < least) {
        least = sum;
        nearest[row] = k;
      }
    }
  }
  return nearest;
}

// The result between two guards, the codebook packed in two parts.
std::vector<int64_t> run(const Case& c, mas::Isa isa) {
  mas::VqCodebook book(c.codebook.data(), c.codes, c.channels, isa);
  const int half = book.panels() / 2;
  book.pack(half, book.panels());
  book.pack(0, half);
  CHECK(book.finite());
  std::vector<int64_t> out(c.rows + 2, 42);
  book.nearest(c.x.data(), c.rows, out.data() + 1);
  CHECK(out.front() == 42 && out.back() == 42);
  return {out.begin() + 1, out.end() - 1};
}

void exact_everywhere() {
  const int64_t shapes[][3] = {{0, 5, 3},     {1, 1, 1},      {7, 64, 8},   {97, 65, 17},
                               {13, 300, 31}, {200, 1000, 4}, {5, 131, 257}};
  for (int kind = 0; kind < kinds; ++kind)
    for (const auto& [rows, codes, channels] : shapes) {
      const Case c = make(Kind(kind), rows, codes, channels, 7 * kind + rows);
      const auto want = oracle(c);
      for (mas::Isa isa : mas::supported_isas()) CHECK(run(c, isa) == want);
    }
}

void many_channels() {
  Case c = make(normal, 3, 2, mas::kVqMaxChannels, 1);
  for (int64_t i = 0; i < c.channels; ++i) {  // the largest sums of bytes
    c.codebook[i] = 1;
    c.codebook[c.channels + i] = -1;
    c.x[i] = -1;
    c.x[c.channels + i] = 1;
  }
  const auto want = oracle(c);
  for (mas::Isa isa : mas::supported_isas()) CHECK(run(c, isa) == want);
}

void not_finite() {
  for (mas::Isa isa : mas::supported_isas())
    for (float bad : {kNan, kInf, -kInf})
      for (int64_t at : {0, 18, 35}) {
        Case c = make(normal, 3, 200, 36, 3);
        const auto want = run(c, isa);
        c.x[36 + at] = bad;
        const auto found = run(c, isa);
        CHECK(found[0] == want[0] && found[1] == -1 && found[2] == want[2]);
        c.codebook[199 * 36 + at] = bad;
        mas::VqCodebook book(c.codebook.data(), 200, 36, isa);
        book.pack(0, book.panels());
        CHECK(!book.finite());
      }
}

void shapes_out_of_range() {
  const float one = 1;
  const mas::Isa isa = mas::best_isa();
  CHECK_THROWS(mas::VqCodebook(&one, 0, 1, isa), std::invalid_argument);
  CHECK_THROWS(mas::VqCodebook(&one, 1, 0, isa), std::invalid_argument);
  CHECK_THROWS(mas::VqCodebook(&one, 1, mas::kVqMaxChannels + 1, isa), std::invalid_argument);
}

}  // namespace

int main() {
  exact_everywhere();
  many_channels();
  not_finite();
  shapes_out_of_range();
  return check::finish();
}
