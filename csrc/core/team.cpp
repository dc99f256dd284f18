#include "team.h"

#include <stdexcept>
#include <string>
#include <system_error>

namespace mas {

namespace {

// About 50 microseconds: longer than any healthy wait, shorter than a scheduler's time slice.
constexpr int kSpins = 1000;
constexpr int kLinesPerSpin = 4;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

}  // namespace

// A team of one is whole already, so ~Team() joins those that were started when this throws.
Team::Team(int threads) : Team() {
  threads_.reserve(threads - 1);
  try {
    for (; most_ < threads; ++most_)
      threads_.emplace_back([this, thread = most_] { serve(thread); });
  } catch (const std::system_error& error) {
    throw std::runtime_error("threads: found " + std::to_string(threads) + ", expected at most " +
                             std::to_string(most_) + ", as can run here (" + error.what() +
                             "); ask for fewer, or raise the limits of this process: ulimit -u "
                             "(tasks), ulimit -v (address space)");
  }
}

Team::~Team() {
  stopping_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Team::serve(int thread) {
  for (uint32_t seen = 0;; ++seen) {
    round_.wait(seen, std::memory_order_acquire);
    if (stopping_) return;
    (*work_)(thread);
    barrier();
  }
}

void Team::run(const std::function<void(int)>& work, bool alone) {
  size_ = alone ? 1 : most_;
  if (size_ == 1) return work(0);
  work_ = &work;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  work(0);
  barrier();
}

void Team::barrier(Ahead ahead) {
  const int size = size_;  // read before it has arrived: afterwards the next run may change it
  if (size == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == size) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  for (int spin = 0; spin < kSpins; ++spin) {
    if (phase_.load(std::memory_order_acquire) != phase) return;
    if (ahead.next < ahead.end) {
      for (int line = 0; line < kLinesPerSpin; ++line)
        __builtin_prefetch(ahead.next + 64 * line, 0, 2);
      ahead.next += 64 * kLinesPerSpin;
      spin = 0;
    } else {
      relax();
    }
  }
  phase_.wait(phase, std::memory_order_acquire);
}

}  // namespace mas
