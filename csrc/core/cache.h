// The KV cache: keys and values of one sequence, one HeadCache per (layer, head).
#pragma once

#include "config.h"
#include "kernels.h"
#include "memory.h"

namespace mas {

class KvCache {
 public:
  KvCache() = default;
  KvCache(const Config& config, int positions);  // with room for that many

  HeadCache head(int layer, int head) const;
  // Takes over slots [0, count) of another cache of the same shape, in every layer.
  void copy(const KvCache& from, int count);

  size_t bytes() const { return memory_.bytes(); }

 private:
  DType dtype_ = DType::fp32;
  int layers_ = 0, heads_ = 0, head_dim_ = 0, capacity_ = 0;
  size_t key_bytes_ = 0, value_bytes_ = 0, scale_bytes_ = 0;
  Buffer memory_;
};

// The bytes of keys and values that the decode step at `position` reads for one sequence.
size_t kv_step_bytes(const Config& config, int position);

}  // namespace mas
