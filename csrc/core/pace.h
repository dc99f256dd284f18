// Whether a team of threads works together or one of them alone: whichever is faster at the moment.
//
// Together is the rule. Where the first thread is kept from running for much of a pass (it sleeps
// at barriers, or others have its processor), a few passes alone are timed and compared; alone
// stays while it is the faster one, and the team is tried again after ever more passes. On idle
// processors that costs two readings of clocks a pass. The results are the same to the bit either
// way.
#pragma once

#include <functional>

namespace mas {

class Pace {
 public:
  // Seconds of the wall, and of the calling thread's processor time.
  struct Clocks {
    double wall, busy;
  };
  explicit Pace(std::function<Clocks()> read = {});

  // Whether the next pass is for one thread alone.
  bool alone() const { return alone_; }

  // Passes of another kind follow: what was counted of the last ones is no measure of them.
  void begin();
  // A pass begins now.
  void start();
  // It ended; whether the next one is to be as it was. Called by the first thread.
  bool passed();

 private:
  void window(bool alone);

  std::function<Clocks()> read_;
  Clocks began_{};
  bool alone_ = false;
  bool trial_ = false;  // these passes are to be compared with `other_`
  double other_ = 0;    // seconds of a pass of the other kind
  int passes_ = 0;      // of the present window, and its seconds
  double wall_ = 0, busy_ = 0;
  double since_ = 0, wait_ = 0;  // seconds of passes since the last trial, and before the next one
};

}  // namespace mas
