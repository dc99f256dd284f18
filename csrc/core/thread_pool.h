// A thread pool of fixed size whose threads enter one function together and meet at barriers inside
// it.
//
// A decoded token crosses about a hundred barriers, so threads spin there for some microseconds
// before they sleep. The memory channel of a waiting thread would idle, so it may prefetch while it
// spins.
//
// When other processes take the processors' time, a thread that sleeps at a barrier is woken a time
// slice late, a hundred times per token; one thread alone is then faster. pace.h decides.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace mas {

// Memory that a thread will stream next.
struct PrefetchRange {
  const char* next = nullptr;
  const char* end = nullptr;
};

class ThreadPool {
 public:
  // Throws std::runtime_error if the system starts fewer threads.
  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return size_; }      // all threads, the caller of run() among them
  int active() const { return active_; }  // those that take part in the present run

  // Calls work(thread) on every thread, or on the caller, thread 0, alone; returns when all calls
  // have. `work` must not throw.
  void run(const std::function<void(int)>& work, bool alone = false);

  // Waits until every active thread has arrived, and prefetches `range` meanwhile.
  void barrier(PrefetchRange range = {});

 private:
  ThreadPool() = default;
  void serve(int thread);

  int size_ = 1;
  int active_ = 1;
  std::vector<std::thread> threads_;
  const std::function<void(int)>* work_ = nullptr;
  alignas(64) std::atomic<uint32_t> round_{0};  // a new value starts the workers
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};  // a new value opens the barrier
  bool stopping_ = false;
};

}  // namespace mas
