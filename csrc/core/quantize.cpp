#include "quantize.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

namespace mas {

namespace {

float largest_of(const float* weights) {
  float largest = 0;
  for (int i = 0; i < kGroup; ++i) largest = std::max(largest, std::fabs(weights[i]));
  return largest;
}

// The sum of (weight - level * scale)^2 over a group.
float int8_error(const float* weights, float scale) {
  const float inverse = 1 / scale;
  float sums[8] = {};  // eight, so that the compiler uses vectors
  for (int i = 0; i < kGroup; i += 8)
    for (int lane = 0; lane < 8; ++lane) {
      const float level = (weights[i + lane] * inverse + kRounder) - kRounder;
      const float error = weights[i + lane] - level * scale;
      sums[lane] += error * error;
    }
  float total = 0;
  for (float sum : sums) total += sum;
  return total;
}

// The smallest scale that holds the group's largest weight is tried first; but 32 weights fit the
// levels of one scale better than those of another, and the best of nine neighbours has a 19% lower
// squared error on normal weights.
uint16_t quantize_int8(const float* weights, int8_t* levels) {
  constexpr int kTried = 9;
  // so that 1 / scale is finite
  const float largest = std::max(127 * std::numeric_limits<float>::min(), largest_of(weights));
  uint16_t first = to_bf16(largest / 127);
  if (from_bf16(first) * 127 < largest) ++first;
  uint16_t best = first;
  float least = int8_error(weights, from_bf16(first));
  for (uint16_t scale = first + 1; scale < first + kTried; ++scale) {
    const float error = int8_error(weights, from_bf16(scale));
    if (error < least) {
      least = error;
      best = scale;
    }
  }
  const float inverse = 1 / from_bf16(best);
  for (int i = 0; i < kGroup; ++i) levels[i] = int8_t((weights[i] * inverse + kRounder) - kRounder);
  return best;
}

// The nearest level of int4 to each number of [-256, 256), in steps of a half: the borders between
// levels are such steps.
constexpr int kSteps = 1024;
constexpr auto kNearest = [] {
  std::array<int8_t, kSteps> nearest{};
  int index = 0;
  for (int step = 0; step < kSteps; ++step) {
    const int twice = step - kSteps / 2;
    while (index < 15 && twice >= kInt4Levels[index] + kInt4Levels[index + 1]) ++index;
    nearest[step] = kInt4Levels[index];
  }
  return nearest;
}();

// `value` is within (-256, 256).
inline int8_t nearest_int4(float value) { return kNearest[int(2 * value + float(kSteps / 2))]; }

// The sum of (weight / scale - level)^2 over a group.
float int4_error(const float* weights, float scale) {
  const float inverse = 1 / scale;
  float sums[4] = {};
  for (int i = 0; i < kGroup; i += 4)
    for (int lane = 0; lane < 4; ++lane) {
      const float level = weights[i + lane] * inverse;
      const float error = level - float(nearest_int4(level));
      sums[lane] += error * error;
    }
  return (sums[0] + sums[1]) + (sums[2] + sums[3]);
}

// The scale with the least squared error for the levels that `scale` gives.
float fitted(const float* weights, float scale) {
  const float inverse = 1 / scale;
  float products = 0, squares = 0;
  for (int i = 0; i < kGroup; ++i) {
    const float level = nearest_int4(weights[i] * inverse);
    products += weights[i] * inverse * level;
    squares += level * level;
  }
  return scale * (products / squares);
}

// Scales of both signs are tried, which put the largest weight at 100 to 140 (beyond the last level
// it loses something, and the others gain more), then the one that fits the best levels of these.
uint16_t quantize_int4(const float* weights, int8_t* levels) {
  const float largest = largest_of(weights);
  uint16_t best = 0;  // of a group of zeros
  float least = std::numeric_limits<float>::infinity();
  const auto attempt = [&](float value) {
    const uint16_t scale = to_bf16(value);
    const float unit = from_bf16(scale) / largest;
    const float error = int4_error(weights, from_bf16(scale)) * unit * unit;
    if (error < least) {
      least = error;
      best = scale;
    }
  };
  if (largest > 256 * std::numeric_limits<float>::min()) {
    for (int at = 100; at <= 140; at += 10)
      for (const int sign : {-1, 1}) attempt(largest / float(sign * at));
    attempt(fitted(weights, from_bf16(best)));
  }
  const float inverse = best ? 1 / from_bf16(best) : 0;
  for (int i = 0; i < kGroup; ++i) levels[i] = nearest_int4(weights[i] * inverse);
  return best;
}

}  // namespace

int int4_index(int level) {
  const auto* at = std::find(kInt4Levels, kInt4Levels + 16, level);
  return at == kInt4Levels + 16 ? -1 : int(at - kInt4Levels);
}

uint16_t quantize_group(DType dtype, const float* weights, int8_t* levels) {
  return (dtype == DType::int8 ? quantize_int8 : quantize_int4)(weights, levels);
}

}  // namespace mas
