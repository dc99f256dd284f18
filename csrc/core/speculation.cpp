#include "speculation.h"

#include <algorithm>
#include <cmath>

namespace mas {

namespace {

constexpr double kFade = 0.99;   // of what passes gave, a pass later
constexpr double kAge = 0.998;   // of what is known of every width, a pass later
constexpr double kNewest = 0.2;  // weight of the newest cost of a width
constexpr double kTries = 3;     // passes after which the cost of a width counts
constexpr double kPrior = 4;     // passes that a promise weighs as much as
constexpr double kGain = 1.02;   // a window must give so much more than a single position
constexpr double kHope = 0.3;    // by which a rate seen once may be too low; less with each pass
constexpr int kRetry = 64;       // choices between two of a width that is not the best

}  // namespace

// Tokens of a pass, from the record of each place of its window.
double Speculation::promised(int width) const {
  double expected = 1, reached = 1, share = 0.5;  // before anything is known
  for (int place = 0; place + 1 < width; ++place) {
    if (places_[place].tried > 0) share = places_[place].right / places_[place].tried;
    reached *= share;
    expected += reached;
  }
  return expected;
}

bool Speculation::tried(int rows, int index) const {
  return index == 0 || costs_[rows * kWidths[index]].passes > kTries - 1;
}

// Seconds of a pass, all narrower ones being tried. Past the widest of these, half of what the last
// positions cost is added for each further one: passes become dearer in steps.
double Speculation::cost(int rows, int index) const {
  const auto seconds = [&](int of) { return costs_[rows * kWidths[of]].seconds; };
  if (tried(rows, index)) return seconds(index);
  const int known = index - 1, before = known - 1;
  if (before < 0) return seconds(known);
  const double slope = (seconds(known) - seconds(before)) / (kWidths[known] - kWidths[before]);
  return seconds(known) + std::max(0.0, slope / 2) * (kWidths[index] - kWidths[known]);
}

// Tokens per second of a sequence, at best.
double Speculation::rate(int rows, int index) const {
  const Yield& yield = yields_[index];
  const double tokens =
      (kPrior * promised(kWidths[index]) + yield.tokens) / (kPrior + yield.windows);
  const double hope = index ? kHope / std::sqrt(1 + yield.windows) : 0;
  return (1 + hope) * tokens / cost(rows, index);
}

int Speculation::width(int rows, int most) {
  most = std::min(most, kMostRows / rows);
  if (most <= 1 || costs_[rows].seconds == 0) return 1;
  int best = 0, second = 0;
  double most_tokens = kGain * rate(rows, 0), next = 0;
  for (int index = 1; index < int(kWidths.size()) && kWidths[index] <= most; ++index) {
    // One after the other: on some processors a pass takes as long as its positions one by one.
    if (!tried(rows, index - 1)) break;
    const double value = rate(rows, index);
    if (value > most_tokens) {
      second = best, next = most_tokens;
      best = index, most_tokens = value;
    } else if (value > next) {
      second = index, next = value;
    }
  }
  // The runner-up, and in turn a single position.
  if (++choices_ % kRetry == 0) return kWidths[choices_ / kRetry % 2 ? second : 0];
  return kWidths[best];
}

void Speculation::passed(int rows, int width, double seconds) {
  for (Cost& cost : costs_)
    if (cost.passes > kTries) cost.passes *= kAge;
  if (rows * width > kMostRows) return;
  Cost& cost = costs_[rows * width];
  const double weight = seconds < cost.seconds ? 2 * kNewest : kNewest;  // most noise is delay
  cost.seconds = cost.seconds == 0 ? seconds : (1 - weight) * cost.seconds + weight * seconds;
  cost.passes = kFade * cost.passes + 1;
}

void Speculation::drawn(int width, int tokens) {
  for (Place& place : places_) place.tried *= kAge, place.right *= kAge;
  for (Yield& yield : yields_)
    if (yield.windows > kTries) yield.windows *= kAge, yield.tokens *= kAge;
  for (int place = 0; place + 1 < width && place < tokens; ++place) {
    places_[place].tried = kFade * places_[place].tried + 1;
    places_[place].right = kFade * places_[place].right + (place + 1 < tokens);
  }
  const auto found = std::find(kWidths.begin(), kWidths.end(), width);
  if (found == kWidths.end()) return;  // what was left to the end
  Yield& yield = yields_[found - kWidths.begin()];
  yield.windows = kFade * yield.windows + 1;
  yield.tokens = kFade * yield.tokens + tokens;
}

}  // namespace mas
