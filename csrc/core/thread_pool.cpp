#include "thread_pool.h"

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
#elif defined(__aarch64__)
  asm volatile("isb");  // `yield` takes no time on most processors
#endif
}

}  // namespace

// The delegated constructor has finished, so ~ThreadPool() joins the threads already started if
// this one throws.
ThreadPool::ThreadPool(int threads) : ThreadPool() {
  threads_.reserve(threads - 1);
  try {
    for (; size_ < threads; ++size_)
      threads_.emplace_back([this, thread = size_] { serve(thread); });
  } catch (const std::system_error& error) {
    throw std::runtime_error("threads: found " + std::to_string(threads) + ", expected at most " +
                             std::to_string(size_) + ", as can run here (" + error.what() +
                             "); ask for fewer, or raise the limits of this process: ulimit -u "
                             "(tasks), ulimit -v (address space)");
  }
}

ThreadPool::~ThreadPool() {
  stopping_ = true;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void ThreadPool::serve(int thread) {
  for (uint32_t seen = 0;; ++seen) {
    round_.wait(seen, std::memory_order_acquire);
    if (stopping_) return;
    (*work_)(thread);
    barrier();
  }
}

void ThreadPool::run(const std::function<void(int)>& work, bool alone) {
  active_ = alone ? 1 : size_;
  if (active_ == 1) return work(0);
  work_ = &work;
  round_.fetch_add(1, std::memory_order_release);
  round_.notify_all();
  work(0);
  barrier();
}

void ThreadPool::barrier(PrefetchRange range) {
  const int active = active_;  // read before arriving: afterwards the next run() may change it
  if (active == 1) return;
  const uint32_t phase = phase_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == active) {
    arrived_.store(0, std::memory_order_relaxed);
    phase_.fetch_add(1, std::memory_order_release);
    phase_.notify_all();
    return;
  }
  for (int spin = 0; spin < kSpins; ++spin) {
    if (phase_.load(std::memory_order_acquire) != phase) return;
    if (range.next < range.end) {
      for (int line = 0; line < kLinesPerSpin; ++line)
        __builtin_prefetch(range.next + 64 * line, 0, 2);
      range.next += 64 * kLinesPerSpin;
      spin = 0;
    } else {
      relax();
    }
  }
  phase_.wait(phase, std::memory_order_acquire);
}

}  // namespace mas
