// How many positions of a stream a pass should draw at once: the width at which most tokens come
// per second.
//
// Both sides are learned while decoding: what a pass of each width costs, and how many tokens it
// gives. Of a width that was seldom tried, the tokens are told from how often the guess of each
// place in a window is right, and the cost from those of narrower ones, so that it is tried only
// after them and where it promises something. The best one is taken, and another one now and then,
// as costs change with the load of the machine. Widths change nothing but the time: the tokens are
// the same at any.
#pragma once

#include <array>

namespace mas {

class Speculation {
 public:
  static constexpr std::array<int, 9> kWidths = {1, 2, 3, 4, 6, 8, 12, 16, 32};
  static constexpr int kWidest = kWidths.back();

  // What follows has `rows` rows; what was learned with another number is forgotten.
  void begin(int rows);
  // The width for the next pass, at most `most`.
  int width(int most);
  // A pass of `width` positions took `seconds` and gave `tokens` tokens, 1 to width.
  void passed(int width, int tokens, double seconds);

 private:
  struct Record {
    double seconds = 0;  // of a pass; 0: never tried
    double passes = 0, tokens = 0;
  };
  struct Place {
    double tried = 0, right = 0;
  };

  double promised(int width) const;
  bool tried(int index) const;
  double cost(int index) const;
  double rate(int index) const;

  int rows_ = 0, choices_ = 0;
  std::array<Record, kWidths.size()> records_{};
  std::array<Place, kWidest> places_{};  // of guesses in a window; all numbers fade
};

}  // namespace mas
