#include "pace.h"

#include <algorithm>
#include <chrono>
#include <ctime>

namespace mas {

namespace {

constexpr double kWindow = 0.02;   // seconds of passes that are timed; longer than time slices
constexpr double kHealthy = 0.85;  // share of a pass in which the first thread works or spins
constexpr double kGain = 0.95;     // the other way must take less than this share of the time
constexpr double kApart = 20;      // a failed trial is repeated after this many times its duration
constexpr double kLongest = 10;    // at most this many seconds lie between two trials

Pace::Clocks read_clocks() {
  timespec busy{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &busy);
  const auto wall = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration<double>(wall).count(), busy.tv_sec + 1e-9 * busy.tv_nsec};
}

}  // namespace

Pace::Pace(std::function<Clocks()> read) : read_(read ? std::move(read) : read_clocks) {}

void Pace::begin(int kind) {
  if (kind == 0 || kind != kind_) {
    window(trial_ ? !alone_ : alone_);  // an undecided trial does not count
    trial_ = false;
  }
  kind_ = kind;
  start();
}

void Pace::start() { began_ = read_(); }

void Pace::window(bool alone) {
  alone_ = alone;
  passes_ = 0;
  wall_ = busy_ = 0;
}

bool Pace::passed() {
  const Clocks now = read_();
  ++passes_;
  last_ = now.wall - began_.wall;
  wall_ += last_;
  busy_ += now.busy - began_.busy;
  since_ += last_;
  if (wall_ < kWindow) return true;
  const bool was = alone_;
  const double each = wall_ / passes_, took = wall_;
  if (trial_) {
    trial_ = false;
    const bool pays = each < kGain * other_;
    const double pool = alone_ ? std::max(kWindow, other_) : took;  // a window of all threads
    if (pays)
      wait_ = alone_ ? kApart * pool : 0;
    else
      wait_ = alone_ ? kApart * took : std::max(2 * wait_, kApart * pool);
    wait_ = std::min(wait_, kLongest);
    since_ = 0;
    window(pays ? alone_ : !alone_);
  } else if ((alone_ || busy_ < kHealthy * wall_) && since_ >= wait_) {
    trial_ = true;
    other_ = each;
    window(!alone_);
  } else {
    window(alone_);
  }
  return alone_ == was;
}

}  // namespace mas
