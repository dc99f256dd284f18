// Decides whether the threads of a pool work together or one of them works alone, whichever is
// faster at the moment.
//
// Together is the rule. When the first thread is kept from running for much of a pass (it sleeps at
// barriers, or other processes have its processor), a few passes of one thread alone are timed and
// compared. One thread keeps working alone while that is faster; the pool is tried again after
// longer and longer waits. On idle processors this costs two clock readings per pass. The results
// are bitwise the same either way.
#pragma once

#include <functional>

namespace mas {

class Pace {
 public:
  // Wall-clock seconds, and seconds of the calling thread's processor time.
  struct Clocks {
    double wall, busy;
  };
  explicit Pace(std::function<Clocks()> read = {});

  // Whether the next pass is for one thread alone.
  bool alone() const { return alone_; }

  // Passes of a kind follow. Earlier timings say nothing about those of another one; 0 is always
  // another one.
  void begin(int kind = 0);
  // A pass begins now.
  void start();
  // The pass has ended. Returns whether the next one runs the same way. Called by the first thread.
  bool passed();
  double last() const { return last_; }  // seconds of the last pass

 private:
  void window(bool alone);

  std::function<Clocks()> read_;
  Clocks began_{};
  int kind_ = 0;
  bool alone_ = false;
  bool trial_ = false;  // these passes are to be compared with `other_`
  double last_ = 0;
  double other_ = 0;  // seconds per pass the other way
  int passes_ = 0;    // in the present window, which has taken these seconds
  double wall_ = 0, busy_ = 0;
  double since_ = 0, wait_ = 0;  // seconds of passes since the last trial, and until the next one
};

}  // namespace mas
