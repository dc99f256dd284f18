// A fixed team of threads that enter one function together and meet at barriers inside it.
//
// A decoded token crosses about a hundred barriers, so they spin for some microseconds before they
// sleep; and because a waiting thread's memory channel would idle, it may prefetch while it spins.
//
// Where other processes take the time of the processors, a thread that sleeps at a barrier is woken
// a time slice late, a hundred times a token; then one thread alone is the faster team. pace.h
// decides.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace mas {

// A range of memory that this thread will stream next.
struct Ahead {
  const char* next = nullptr;
  const char* end = nullptr;
};

class Team {
 public:
  // Throws std::runtime_error where the system starts fewer threads.
  explicit Team(int threads);
  ~Team();
  Team(const Team&) = delete;
  Team& operator=(const Team&) = delete;

  // The threads that there are, and those that work in the present run.
  int most() const { return most_; }
  int size() const { return size_; }

  // Calls work(thread) on every thread, the caller being thread 0, or on that one alone; returns
  // when all have. `work` must not throw.
  void run(const std::function<void(int)>& work, bool alone = false);

  // Waits until every thread of the team has arrived; fetches `ahead` into the cache meanwhile.
  void barrier(Ahead ahead = {});

 private:
  Team() = default;
  void serve(int thread);

  int most_ = 1;
  int size_ = 1;
  std::vector<std::thread> threads_;
  const std::function<void(int)>* work_ = nullptr;
  alignas(64) std::atomic<uint32_t> round_{0};  // a new value starts the workers
  alignas(64) std::atomic<int> arrived_{0};
  alignas(64) std::atomic<uint32_t> phase_{0};  // a new value opens the barrier
  bool stopping_ = false;
};

}  // namespace mas
