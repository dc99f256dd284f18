#include "core/pace.h"

#include "check.h"

namespace {

// Clocks of processors on which a pass of each kind takes so long, and the first thread of the pool
// works for a share of it.
struct World {
  double pool, alone, share;
  double wall = 0, busy = 0;
  int passes[2] = {0, 0};
};

void draw(World& world, mas::Pace& pace, double seconds, int kind = 0) {
  pace.begin(kind);
  for (const double end = world.wall + seconds; world.wall < end;) {
    const bool alone = pace.alone();
    const double took = alone ? world.alone : world.pool;
    ++world.passes[alone];
    world.wall += took;
    world.busy += alone ? took : took * world.share;
    CHECK(pace.passed() == (pace.alone() == alone));
    pace.start();
  }
}

// Seconds that as many passes as were drawn took, over those of the better kind.
double loss(const World& world) {
  const double took = world.passes[0] * world.pool + world.passes[1] * world.alone;
  const double best = world.pool < world.alone ? world.pool : world.alone;
  return took / ((world.passes[0] + world.passes[1]) * best);
}

World run(World world, double seconds = 10) {
  mas::Pace pace([&] { return mas::Pace::Clocks{world.wall, world.busy}; });
  draw(world, pace, seconds);
  return world;
}

}  // namespace

int main() {
  // Idle processors: the pool, and no trial at all.
  CHECK(run({0.005, 0.009, 0.97}).passes[1] == 0);
  // The pool sleeps at its barriers: one alone, but for a twentieth of the time and the first look.
  for (const double slow : {0.012, 0.05, 0.5}) {
    const World world = run({slow, 0.009, 0.1});
    CHECK(world.passes[0] > 0);
    CHECK(loss(world) < 1.15);
  }
  // The pool loses time and is the faster one all the same.
  CHECK(loss(run({0.005, 0.009, 0.6})) < 1.1);
  // A burst of load ends: the pool is back within a second or two.
  {
    World world{0.1, 0.009, 0.1};
    mas::Pace pace([&] { return mas::Pace::Clocks{world.wall, world.busy}; });
    draw(world, pace, 1);
    CHECK(pace.alone());
    world = {0.005, 0.009, 0.97, world.wall, world.busy};
    draw(world, pace, 12);
    CHECK(!pace.alone());
    CHECK(loss(world) < 1.4);
    // Many short calls, each less than a window long: a trial that none decides is none.
    world = {0.005, 0.009, 0.97, world.wall, world.busy};
    for (int call = 0; call < 1000; ++call) draw(world, pace, 0.004);
    CHECK(world.passes[1] == 0);
  }
  // Calls of a pass each: one of the same kind goes on, one of another begins anew.
  for (const bool same : {true, false}) {
    World world{0.05, 0.009, 0.1};
    mas::Pace pace([&] { return mas::Pace::Clocks{world.wall, world.busy}; });
    for (int call = 0; call < 500; ++call) draw(world, pace, 1e-9, same ? 2 : 2 + call % 2);
    CHECK(same == (world.passes[1] > 0));
  }
  return check::finish();
}
