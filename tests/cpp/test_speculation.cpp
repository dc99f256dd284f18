#include "core/speculation.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <map>
#include <random>

#include "check.h"

namespace {

using mas::Speculation;

// A model whose passes cost so much at each width, and whose guesses are right with a chance.
struct World {
  std::function<double(int)> cost;
  double right;
  int most = Speculation::kWidest;
  double noise = 0;  // share of a pass by which its time varies
  std::mt19937 random{1};
  double seconds = 0;
  int passes = 0, tokens = 0;
  std::map<int, int> widths = {};  // how often each was chosen
};

void decode(World& world, Speculation& speculation, int passes) {
  std::uniform_real_distribution<double> uniform(0, 1);
  for (int pass = 0; pass < passes; ++pass) {
    const int width = speculation.width(2, world.most);
    CHECK(width >= 1 && width <= world.most);
    int tokens = 1;
    while (tokens < width && uniform(world.random) < world.right) ++tokens;
    const double seconds = world.cost(width) * (1 + world.noise * (uniform(world.random) - 0.5));
    speculation.drawn(width, tokens);
    speculation.passed(2, width, seconds);
    world.seconds += seconds;
    world.tokens += tokens;
    ++world.passes;
    ++world.widths[width];
  }
}

World run(World world, int passes = 1000) {
  Speculation speculation;
  decode(world, speculation, passes);
  return world;
}

// Tokens of a pass of one width, on average.
double expected(const World& world, int width) {
  double tokens = 1, reached = 1;
  for (int place = 1; place < width; ++place) tokens += reached *= world.right;
  return tokens;
}

// The tokens that the best width would have given in the same time, over those that came.
double loss(const World& world) {
  double best = 0;
  for (const int width : Speculation::kWidths)
    if (width <= world.most) best = std::max(best, expected(world, width) / world.cost(width));
  return best * world.seconds / world.tokens;
}

double same(int) { return 0.01; }
double each(int width) { return 0.01 * width; }
double dearer(int width) { return 0.01 * (1 + 0.06 * (width - 1)); }
double steps(int width) { return width <= 8 ? 0.01 : width <= 16 ? 0.012 : 0.016; }

void test_first_width() {
  Speculation speculation;
  for (int call = 0; call < 200; ++call) CHECK(speculation.width(2, 32) == 1);  // nothing is known
  for (const int rows : {1, 2, 3, 5, 7, 11, 31, 32, 64, 65, 1000})
    for (const int most : {1, 2, 3, 5, 7, 11, 31, 32}) {
      speculation.passed(rows, 1, 0.01);
      for (int call = 0; call < 200; ++call) {
        const int width = speculation.width(rows, most);
        CHECK(width >= 1 && width <= most && (width == 1 || rows * width <= 64));
        speculation.drawn(width, width);
        speculation.passed(rows, width, 0.01);
      }
    }
}

void test_learns_a_window() {
  // Free passes and right guesses: the widest, but for the tries.
  const World free = run({same, 1.0});
  CHECK(free.widths.at(32) > 0.9 * free.passes);
  CHECK(loss(free) < 1.1);
  for (const double noise : {0.0, 0.3})
    for (const double right : {0.3, 0.5, 0.7, 0.9})
      for (const auto cost : {same, steps}) {
        const World world = run({cost, right, 32, noise}, 2000);
        CHECK(world.tokens > 1.2 * world.passes);
        CHECK(loss(world) < (noise > 0 ? 1.3 : 1.1));
      }
  CHECK(run({same, 1.0, 5}).widths.at(4) > 900);  // of the widths that there are
}

void test_stays_with_one_position() {
  // Guesses that are never right, or passes as dear as their positions: seldom another width, also
  // while nothing is known.
  for (const int passes : {320, 1000})
    for (const World& world : {run({dearer, 0.0}, passes), run({each, 0.0}, passes),
                               run({each, 0.5}, passes), run({each, 0.9}, passes)}) {
      CHECK(world.passes - world.widths.at(1) < 0.12 * world.passes);
      CHECK(loss(world) < 1.04);
    }
  for (const double right : {0.0, 0.5}) CHECK(loss(run({each, right, 32, 0.3})) < 1.1);
  // Where a window costs nothing any may be taken: it gives no less.
  CHECK(loss(run({same, 0.0})) < 1.01);
  CHECK(loss(run({steps, 0.0})) < 1.05);
}

void test_follows_changes() {
  // What was learned of easy tokens does not stay for hard ones, nor the other way round.
  Speculation speculation;
  World easy{steps, 0.95}, hard{steps, 0.0}, again = easy;
  decode(easy, speculation, 500);
  CHECK(loss(easy) < 1.15);
  decode(hard, speculation, 2000);
  CHECK(loss(hard) < 1.15);
  decode(again, speculation, 2000);
  CHECK(loss(again) < 1.15);
}

// What is known of guesses, and of passes over as many rows, counts for other numbers of sequences.
void test_other_rows() {
  Speculation speculation;
  World world{same, 1.0};
  decode(world, speculation, 300);
  CHECK(speculation.width(2, 32) == 32);
  CHECK(speculation.width(5, 32) == 1);   // such passes were never seen
  CHECK(speculation.width(4, 32) == 12);  // as two rows were tried with 16, but not with 24
}

// Widths that are none of the table's, such as those that are left to the end, say how often
// guesses are right, and may be as wide as the widest.
void test_other_widths() {
  Speculation speculation;
  for (int width = 1; width <= Speculation::kWidest; ++width) {
    speculation.drawn(width, 1 + width / 2);
    speculation.passed(1, width, 0.01);
  }
  CHECK(speculation.width(1, 32) >= 1);
}

}  // namespace

int main() {
  test_first_width();
  test_learns_a_window();
  test_stays_with_one_position();
  test_follows_changes();
  test_other_rows();
  test_other_widths();
  return check::finish();
}
