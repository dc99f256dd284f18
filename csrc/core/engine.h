// The forward pass of the GPT over packed weights and a KV cache, on a team of threads.
#pragma once

#include <atomic>
#include <mutex>
#include <span>

#include "cache.h"
#include "pace.h"
#include "team.h"
#include "weights.h"

namespace mas {

// One token to run: of its sequence it sees what each layer's mask shows of [0, position].
struct Item {
  int32_t token;
  int position;
  int sequence;  // the row of the KV cache
};

// Logits of one stream for items [first, first + count) of a pass: out [count, stride].
struct Predict {
  int stream;
  int first, count;
  float* out;
  ptrdiff_t stride;
};

class Engine {
 public:
  // threads 0: all that the process may use. Throws std::invalid_argument for a bad config.
  Engine(const Config& config, int threads, Isa isa);

  const Config& config() const { return config_; }
  Weights& weights() { return weights_; }
  Team& team() { return team_; }
  Pace& pace() { return pace_; }
  Isa isa() const { return isa_; }

  // Held around reserve(), team().run() and forward(): one caller at a time, others wait. Throws
  // std::logic_error where waiting would never end: in a progress callback of this engine, and in a
  // process forked from the one that made it.
  class Use {
   public:
    explicit Use(Engine& engine);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

   private:
    Engine& engine_;
  };

  // Makes room for passes of up to `items` items over up to `positions` positions.
  void reserve(int items, int positions);

  // Called by every thread of the team. Items of one sequence must be in the order of their
  // positions and follow the positions that the cache already has; with `shared` false no two items
  // have the same sequence (a decode step).
  void forward(int thread, KvCache& cache, std::span<const Item> items, bool shared,
               std::span<const Predict> predictions);

  // Bytes that a step at `position` reads for `rows` sequences: weights once, and of every row the
  // keys and values that the position sees.
  size_t step_bytes(int position, int rows) const;

  // Where `thread` begins to read at the next pass.
  Ahead first_weights(int thread) const { return ahead(thread, weights_.layers()[0].qkv); }

 private:
  struct Span {
    int first, last;
  };
  Span share(int thread, int units) const;
  Ahead ahead(int thread, const Packed& weights) const;
  Rows rows_view(int thread, int count, int inputs);
  template <class Fill>
  Rows prepare(int thread, int count, int inputs, Fill fill);
  void linear(int thread, const Packed& weights, const Rows& rows, int count, const float* bias,
              Epilogue epilogue, float* out, ptrdiff_t stride, Ahead next);
  void attention(int thread, const LayerWeights& layer, int index, KvCache& cache,
                 std::span<const Item> items, bool shared);
  std::span<const Range> visible(int thread, int layer, int position);

  Config config_;
  Isa isa_;
  const Kernels& kernels_;
  Weights weights_;
  Team team_;
  Pace pace_;
  std::mutex mutex_;
  std::atomic<std::thread::id> user_{};
  long process_;  // the threads of the team do not survive a fork

  // The state of a pass; everything is [items, ...].
  int items_ = 0, positions_ = 0;
  Buffer residual_, qkv_, context_, hidden_;
  Buffer rows_, private_rows_;  // prepared activations: of the team, of each thread
  Buffer scratch_;              // of each thread
  size_t scratch_floats_ = 0;
  Buffer ranges_;  // of each thread: what a position sees
  size_t ranges_bytes_ = 0;
};

}  // namespace mas
