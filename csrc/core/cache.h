// The KV cache: keys and values of a set of sequences, one HeadCache per (layer, sequence, head).
#pragma once

#include "config.h"
#include "kernels.h"
#include "memory.h"

namespace mas {

class KvCache {
 public:
  KvCache() = default;
  KvCache(const Config& config, int sequences, int positions);  // with room for that many

  HeadCache head(int layer, int sequence, int head) const;
  // Copies slots [0, count) of one sequence over those of another, in every layer.
  void copy(int from, int to, int count);

  int sequences() const { return sequences_; }
  size_t bytes() const { return memory_.bytes(); }

 private:
  DType dtype_ = DType::fp32;
  int layers_ = 0, heads_ = 0, head_dim_ = 0, sequences_ = 0, capacity_ = 0;
  size_t key_bytes_ = 0, value_bytes_ = 0, scale_bytes_ = 0;
  Buffer memory_;
};

// The bytes of keys and values that the decode step at `position` reads for one sequence.
size_t kv_step_bytes(const Config& config, int position);

}  // namespace mas
