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

void Speculation::begin(int rows) {
  if (rows != rows_) *this = {};
  rows_ = rows;
}

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

bool Speculation::tried(int index) const {
  return index == 0 || records_[index].passes > kTries - 1;
}

// Seconds of a pass, all narrower ones being tried. Past the widest of these, half of what the last
// positions cost is added for each further one: passes become dearer in steps.
double Speculation::cost(int index) const {
  if (tried(index)) return records_[index].seconds;
  const int known = index - 1, before = known - 1;
  const double seconds = records_[known].seconds;
  if (before < 0) return seconds;
  const double slope = (seconds - records_[before].seconds) / (kWidths[known] - kWidths[before]);
  return seconds + std::max(0.0, slope / 2) * (kWidths[index] - kWidths[known]);
}

// Tokens per second, at best.
double Speculation::rate(int index) const {
  const Record& record = records_[index];
  const double tokens =
      (kPrior * promised(kWidths[index]) + record.tokens) / (kPrior + record.passes);
  const double hope = index ? kHope / std::sqrt(1 + record.passes) : 0;
  return (1 + hope) * tokens / cost(index);
}

int Speculation::width(int most) {
  if (records_[0].seconds == 0) return 1;
  int best = 0, second = 0;
  double most_tokens = kGain * rate(0), next = 0;
  for (int index = 1; index < int(kWidths.size()) && kWidths[index] <= most; ++index) {
    // One after the other: on some processors a pass takes as long as its positions one by one.
    if (!tried(index - 1)) break;
    const double value = rate(index);
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

void Speculation::passed(int width, int tokens, double seconds) {
  for (Place& place : places_) place.tried *= kAge, place.right *= kAge;
  for (Record& record : records_)
    if (record.passes > kTries) record.passes *= kAge, record.tokens *= kAge;
  for (int place = 0; place + 1 < width && place < tokens; ++place) {
    places_[place].tried = kFade * places_[place].tried + 1;
    places_[place].right = kFade * places_[place].right + (place + 1 < tokens);
  }
  const auto found = std::find(kWidths.begin(), kWidths.end(), width);
  if (found == kWidths.end()) return;  // what was left to the end
  Record& record = records_[found - kWidths.begin()];
  const double weight = seconds < record.seconds ? 2 * kNewest : kNewest;  // most noise is delay
  record.seconds = record.seconds == 0 ? seconds : (1 - weight) * record.seconds + weight * seconds;
  record.passes = kFade * record.passes + 1;
  record.tokens = kFade * record.tokens + tokens;
}

}  // namespace mas
