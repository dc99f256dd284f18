#include "cache.h"

#include <cstring>

#include "visible.h"

namespace mas {

KvCache::KvCache(const Config& config, int positions)
    : dtype_(config.kv_dtype),
      layers_(config.layers),
      heads_(config.heads),
      head_dim_(config.head_dim()),
      capacity_(slots(config, positions)) {
  const HeadCache shape{dtype_, head_dim_, capacity_, nullptr, nullptr, nullptr, nullptr};
  key_bytes_ = shape.key_bytes();
  value_bytes_ = shape.value_bytes();
  scale_bytes_ = dtype_ == DType::int8 ? size_t(round_up(capacity_, 16)) * 4 : 0;
  memory_ = Buffer(size_t(layers_) * heads_ * (key_bytes_ + value_bytes_ + 2 * scale_bytes_));
}

HeadCache KvCache::head(int layer, int head) const {
  const size_t index = size_t(layer) * heads_ + head;
  char* at = const_cast<char*>(memory_.as<char>()) +
             index * (key_bytes_ + value_bytes_ + 2 * scale_bytes_);
  char* scales = at + key_bytes_ + value_bytes_;
  return {dtype_,
          head_dim_,
          capacity_,
          at,
          at + key_bytes_,
          reinterpret_cast<float*>(scales),
          reinterpret_cast<float*>(scales + scale_bytes_)};
}

void KvCache::copy(const KvCache& from, int count) {
  for (int layer = 0; layer < layers_; ++layer)
    for (int index = 0; index < heads_; ++index) {
      const HeadCache source = from.head(layer, index), target = head(layer, index);
      std::memcpy(target.keys, source.keys, ceil_div(count, kPanel) * source.key_panel_bytes());
      std::memcpy(target.values, source.values,
                  size_t(source.value_steps(count)) * source.value_stride());
      if (dtype_ == DType::int8) {
        std::memcpy(target.key_scales, source.key_scales, sizeof(float) * count);
        std::memcpy(target.value_scales, source.value_scales, sizeof(float) * count);
      }
    }
}

size_t kv_step_bytes(const Config& config, int position) {
  const size_t element = config.kv_dtype == DType::fp32   ? 4
                         : config.kv_dtype == DType::bf16 ? 2
                                                          : 1;
  const size_t scale = config.kv_dtype == DType::int8 ? 4 : 0;
  size_t seen = 0;
  for (int layer = 0; layer < config.layers; ++layer)
    seen += visible_count(config, config.mask(layer), position);
  return 2 * seen * config.heads * (config.head_dim() * element + scale);
}

}  // namespace mas
