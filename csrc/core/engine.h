// The forward pass of the GPT over packed weights and a KV cache, on a thread pool.
#pragma once

#include <atomic>
#include <mutex>
#include <span>

#include "cache.h"
#include "pace.h"
#include "sampler.h"
#include "speculation.h"
#include "thread_pool.h"
#include "weights.h"

namespace mas {

// A token that a pass reads. In each layer it sees the positions of [0, position] that the layer's
// mask shows.
struct Entry {
  int32_t token;
  int position;
};

// The entries of one sequence in a pass, at consecutive positions that continue those in its cache.
struct Segment {
  KvCache* cache;
  int first, count;  // of the entries of the pass
};

// Asks for the logits of one stream at some entries of a pass: out is [entries.size(), vocab].
struct LogitsRequest {
  int stream = 0;
  std::vector<int> entries = {};
  float* out = nullptr;
};

// Entries of a pass that reads prompts or given tokens: enough for the products to be
// compute-bound, few enough for a stop to be prompt and for others not to wait long.
inline constexpr int kChunk = 64;

// One pass over the weights. The segments' entries follow one another.
struct Pass {
  std::vector<Entry> entries = {};
  std::vector<Segment> segments = {};
  std::vector<LogitsRequest> logits = {};
};

class Engine {
 public:
  // threads = 0: all that the process may use. Throws std::invalid_argument for a bad config.
  Engine(const Config& config, int threads, Isa isa);

  const Config& config() const { return config_; }
  Weights& weights() { return weights_; }
  ThreadPool& pool() { return pool_; }
  Pace& pace() { return pace_; }
  Speculation& speculation(int stream) { return speculation_[stream]; }
  Isa isa() const { return isa_; }

  // Makes room for passes of up to `entries` entries over up to `positions` positions. Like run()
  // of the pool and forward(), it is for the holder of an EngineLock.
  void reserve(int entries, int positions);

  // Called by every active thread of the pool.
  void forward(int thread, const Pass& pass);

  // A thread's room for the sampler.
  void* sampler_scratch(int thread) {
    return sampler_scratch_.as<char>() + thread * sampler_scratch_bytes_;
  }

  // Bytes that a step at `position` reads for `rows` sequences: the weights once, and for every row
  // the keys and values that the position sees.
  size_t step_bytes(int position, int rows) const;

  // The weights that `thread` reads first in the next pass.
  PrefetchRange first_weights(int thread) const {
    return prefetch_range(thread, weights_.layers()[0].qkv);
  }

 private:
  friend class EngineLock;

  // The units [first, last) of one thread.
  struct Share {
    int first, last;
  };
  Share share(int thread, int units) const;
  PrefetchRange prefetch_range(int thread, const Packed& weights) const;
  PreparedRows rows_view(int thread, int count, int inputs);
  template <class Fill>
  PreparedRows prepare(int thread, int count, int inputs, Fill fill);
  void linear(int thread, const Packed& weights, const PreparedRows& rows, int count,
              const float* bias, Epilogue epilogue, float* out, ptrdiff_t stride,
              PrefetchRange next);
  template <class Visit>
  void own_heads(int thread, const Pass& pass, Visit visit) const;
  void attention(int thread, const LayerWeights& layer, int index, const Pass& pass);
  PrefetchRange first_keys(int thread, int index, const Pass& pass);
  std::span<Range> visible(int thread, int layer, int position);

  Config config_;
  Isa isa_;
  const Kernels& kernels_;
  Weights weights_;
  ThreadPool pool_;
  Pace pace_;
  std::vector<Speculation> speculation_;  // one per stream
  std::mutex mutex_;
  std::atomic<std::thread::id> user_{};
  long process_;  // the threads of the pool do not survive a fork

  // The state of a pass; every buffer is [entries, ...].
  int entries_ = 0, positions_ = 0;
  Buffer residual_, qkv_, context_, hidden_;
  Buffer rows_, private_rows_;  // prepared activations: shared, per thread
  Buffer scratch_;              // per thread
  size_t scratch_floats_ = 0;
  size_t sampler_scratch_bytes_;
  Buffer sampler_scratch_;  // per thread
  Buffer ranges_;           // per thread: what a position sees
  size_t ranges_bytes_ = 0;
};

// Exclusive use of an engine, for as long as the lock lives; other callers wait. The constructor
// throws std::logic_error where waiting would never end: in a progress callback of this engine, and
// in a process forked from the one that made it.
class EngineLock {
 public:
  explicit EngineLock(Engine& engine);
  ~EngineLock();
  EngineLock(const EngineLock&) = delete;
  EngineLock& operator=(const EngineLock&) = delete;

 private:
  Engine& engine_;
};

}  // namespace mas
