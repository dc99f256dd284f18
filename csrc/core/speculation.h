// How many positions of a stream a pass should draw at once: the width at which most tokens come
// per second.
//
// Both sides are learned while decoding: what a pass over so many rows costs, and how many tokens a
// window gives. Of a width that was seldom tried, the tokens are told from how often the guess of
// each place in a window is right, and the cost from those of narrower ones, so that it is tried
// only after them and where it promises something. The best one is taken, and another one now and
// then, as costs change with the load of the machine. Widths change nothing but the time: the
// tokens are the same at any.
#pragma once

#include <array>

namespace mas {

class Speculation {
 public:
  static constexpr std::array<int, 9> kWidths = {1, 2, 3, 4, 6, 8, 12, 16, 32};
  static constexpr int kWidest = kWidths.back();

  // The width for the next pass over `rows` rows at each position, at most `most`.
  int width(int rows, int most);
  // A pass over `rows` x `width` rows took so long.
  void passed(int rows, int width, double seconds);
  // A window gave so many tokens, 1 to width.
  void drawn(int width, int tokens);

 private:
  static constexpr int kMostRows = 64;  // of a pass whose cost is kept
  struct Cost {
    double seconds = 0;  // of a pass; 0: never tried
    double passes = 0;
  };
  struct Yield {
    double windows = 0, tokens = 0;
  };
  struct Place {
    double tried = 0, right = 0;
  };

  double promised(int width) const;
  bool tried(int rows, int index) const;
  double cost(int rows, int index) const;
  double rate(int rows, int index) const;

  int choices_ = 0;
  std::array<Cost, kMostRows + 1> costs_{};  // by the rows of a pass
  std::array<Yield, kWidths.size()> yields_{};
  std::array<Place, kWidest> places_{};  // of guesses in a window; all numbers fade
};

}  // namespace mas
