// A team of csrc/cuda/sampler.cuh whose threads are fibers of one CPU thread: the kernels' logic
// without a GPU. Which fiber runs next is an order of priorities, so that some run ahead of others
// as far as the barriers let them; what a barrier should have kept apart then gets mixed up.
#pragma once

#include <ucontext.h>

#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>
#include <vector>

class Fibers {
 public:
  struct Barrier {
    int members = 0, arrived = 0;
    int64_t generation = 0;
  };

  // Runs body(0), body(1), ... at once, the first of `order` that can whenever one waits. False
  // where all that are left wait for one another.
  bool run(const std::vector<int>& order, const std::function<void(int)>& body) {
    running_ = this;
    body_ = &body;
    fibers_ = std::vector<Fiber>(order.size());
    for (int i : order) {
      Fiber& fiber = fibers_[static_cast<size_t>(i)];
      fiber.stack = std::make_unique_for_overwrite<char[]>(kStack);
      getcontext(&fiber.context);
      fiber.context.uc_stack.ss_sp = fiber.stack.get();
      fiber.context.uc_stack.ss_size = kStack;
      fiber.context.uc_link = &scheduler_;
      makecontext(&fiber.context, &Fibers::enter, 0);
    }
    while (true) {
      bool all_done = true;
      current_ = -1;
      for (int i : order) {
        const Fiber& fiber = fibers_[static_cast<size_t>(i)];
        all_done = all_done && fiber.done;
        if (!fiber.done && (!fiber.barrier || fiber.barrier->generation != fiber.generation)) {
          current_ = i;
          break;
        }
      }
      if (current_ < 0) return all_done;
      swapcontext(&scheduler_, &fibers_[static_cast<size_t>(current_)].context);
    }
  }

  void wait(Barrier& barrier) {
    if (++barrier.arrived == barrier.members) {
      barrier.arrived = 0;
      ++barrier.generation;
      return;
    }
    Fiber& fiber = fibers_[static_cast<size_t>(current_)];
    fiber.barrier = &barrier;
    fiber.generation = barrier.generation;
    swapcontext(&fiber.context, &scheduler_);
  }

 private:
  static constexpr size_t kStack = 1 << 16;
  struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    const Barrier* barrier = nullptr;
    int64_t generation = 0;
    bool done = false;
  };
  static void enter() {
    (*running_->body_)(running_->current_);
    running_->fibers_[static_cast<size_t>(running_->current_)].done = true;
  }
  static inline Fibers* running_ = nullptr;
  const std::function<void(int)>* body_ = nullptr;
  std::vector<Fiber> fibers_;
  ucontext_t scheduler_;
  int current_ = -1;
};

// The interface is that of csrc/cuda/team.cuh.
template <int kBlocksOfTeam, int kThreadsOfBlock>
struct CpuTeam {
  static constexpr int kBlocks = kBlocksOfTeam, kThreads = kThreadsOfBlock, kWarps = kThreads / 32;

  // What the fibers of a team have in common.
  struct World {
    Fibers fibers;
    Fibers::Barrier all{kBlocks * kThreads}, block[kBlocks], warp[kBlocks * kWarps];
    int64_t exchanged[kBlocks * kWarps][2][32];
    char *shared, *shared_end;  // of all blocks, one after the other
    bool runs[kBlocks] = {};    // whether a thread of the block has begun
    int too_early = 0;          // uses of the shared memory of blocks that do not run yet
    World() {
      for (auto& b : block) b.members = kThreads;
      for (auto& w : warp) w.members = 32;
    }
  };

  World* world;
  int rank, thread;
  mutable int turn = 0;

  int lane() const { return thread % 32; }
  int warp() const { return thread / 32; }
  void sync_block() const { world->fibers.wait(world->block[rank]); }
  void arrive() const {}
  void wait() const { world->fibers.wait(world->all); }
  void sync() const { wait(); }

  template <class T>
  T* of(T* mine, int block) const {
    world->too_early += !world->runs[block];
    const auto distance = (world->shared_end - world->shared) / kBlocks * (block - rank);
    return reinterpret_cast<T*>(reinterpret_cast<char*>(mine) + distance);
  }

  template <int kBytes>
  static void copy(void* to, const void* from) {
    std::memcpy(to, from, kBytes);
  }
  static void wait_for_copies() {}

  // The values of all lanes. Two buffers in turn: a lane that is ahead writes to the other one.
  const int64_t* exchange(int64_t value) const {
    const int index = rank * kWarps + warp();
    int64_t* values = world->exchanged[index][turn ^= 1];
    values[lane()] = value;
    world->fibers.wait(world->warp[index]);
    return values;
  }
  int64_t shuffle(int64_t value, int from) const { return exchange(value)[from]; }
  int64_t shuffle_xor(int64_t value, int offset) const { return exchange(value)[lane() ^ offset]; }
  int64_t shuffle_up(int64_t value, int offset) const {
    return exchange(value)[lane() >= offset ? lane() - offset : lane()];
  }
  int first_lane(bool value) const {
    const int64_t* values = exchange(value);
    for (int i = 0; i < 32; ++i)
      if (values[i]) return i;
    return 31;
  }
  int32_t max_of_warp(int32_t value) const {
    const int64_t* values = exchange(value);
    int64_t most = values[0];
    for (int i = 1; i < 32; ++i) most = values[i] > most ? values[i] : most;
    return static_cast<int32_t>(most);
  }
  static uint32_t add(uint32_t* sum, uint32_t value) {
    const uint32_t before = *sum;
    *sum += value;
    return before;
  }
};
