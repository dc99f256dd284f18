#include "pace.h"

#include <algorithm>
#include <chrono>
#include <ctime>

namespace mas {

namespace {

// A window is longer than a scheduler's time slices; shorter only where a pass is longer still.
constexpr double kWindow = 0.02;
constexpr double kHealthy = 0.85;  // of a pass the first thread works or spins
constexpr double kGain = 0.95;     // the other way must take less of the time than this
constexpr double kApart = 20;    // a trial that did not pay comes again after so many times its own
constexpr double kLongest = 10;  // seconds between two trials

Pace::Clocks read_clocks() {
  timespec busy{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &busy);
  const auto wall = std::chrono::steady_clock::now().time_since_epoch();
  return {std::chrono::duration<double>(wall).count(), busy.tv_sec + 1e-9 * busy.tv_nsec};
}

}  // namespace

Pace::Pace(std::function<Clocks()> read) : read_(read ? std::move(read) : read_clocks) {}

void Pace::begin() {
  window(trial_ ? !alone_ : alone_);  // an undecided trial is none
  trial_ = false;
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
  wall_ += now.wall - began_.wall;
  busy_ += now.busy - began_.busy;
  since_ += now.wall - began_.wall;
  if (wall_ < kWindow) return true;
  const bool was = alone_;
  const double each = wall_ / passes_, took = wall_;
  if (trial_) {
    trial_ = false;
    const bool pays = each < kGain * other_;
    const double team = alone_ ? std::max(kWindow, other_) : took;  // a window of the team
    if (pays)
      wait_ = alone_ ? kApart * team : 0;
    else
      wait_ = alone_ ? kApart * took : std::max(2 * wait_, kApart * team);
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
