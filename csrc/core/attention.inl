// One query against the cache of one head. While the keys are read the values are fetched, and
// while those are read the keys of the head that comes next: each is a stream of the same length.
// Included by kernels.cpp inside namespace mas::MAS_ISA.

// Where output `output` and input `input` lie in panels that are `panel_bytes` apart and have steps
// `stride` apart.
template <DType TYPE>
inline char* element(char* panels, size_t panel_bytes, int stride, int output, int input) {
  constexpr int unit = inputs_per_step(TYPE), bytes = kStepBytes / kPanel / unit;
  return panels + output / kPanel * panel_bytes + size_t(input / unit) * stride +
         (output % kPanel * unit + input % unit) * bytes;
}

// Brings x [size] to whole numbers in [-127, 127], plus 128; returns the scale.
inline float quantize_head(const float* x, int size, uint8_t* levels) {
  const float bound = magnitude(x, size);
  if (!usable(bound)) {
    __builtin_memset(levels, 128, size);
    return bound - bound;
  }
  for (int i = 0; i < size; ++i) {
    const float shifted = x[i] * (127.0f / bound) + kRounder;
    levels[i] = uint8_t(int32_t(shifted - kRounder) + 128);
  }
  return bound / 127.0f;
}

template <DType TYPE, class T>
inline void append_as(const HeadCache& cache, int position, const T* key, const T* value) {
  const size_t key_panel = cache.key_panel_bytes();
  const int value_stride = cache.value_stride();
  for (int i = 0; i < cache.head_dim; ++i) {
    store(element<TYPE>(cache.keys, key_panel, kStepBytes, position, i), key[i]);
    store(element<TYPE>(cache.values, kStepBytes, value_stride, i, position), value[i]);
  }
}

constexpr int kMostChannels = 256;  // the engine's bound on head_dim

void append(const HeadCache& cache, int position, const float* key, const float* value) {
  if (cache.dtype == DType::fp32) {
    append_as<DType::fp32>(cache, position, key, value);
  } else if (cache.dtype == DType::bf16) {
    uint16_t k[kMostChannels], v[kMostChannels];
    for (int i = 0; i < cache.head_dim; ++i) {
      k[i] = to_bf16(key[i]);
      v[i] = to_bf16(value[i]);
    }
    append_as<DType::bf16>(cache, position, k, v);
  } else {
    uint8_t k[kMostChannels], v[kMostChannels];
    cache.key_scales[position] = quantize_head(key, cache.head_dim, k);
    cache.value_scales[position] = quantize_head(value, cache.head_dim, v);
    append_as<DType::int8>(cache, position, k, v);
  }
}

void attend(const HeadCache& cache, int length, const float* query, float* out, float* scratch,
            const char* next) {
  const int head_dim = cache.head_dim;
  const int padded = round_up(length, kPanel);  // the scores that whole panels write
  const int size = padded > head_dim ? padded : round_up(head_dim, kPanel);
  float* scores = scratch;
  float* scale = scores + size;
  auto* offset = reinterpret_cast<int32_t*>(scale + 16);
  char* data = reinterpret_cast<char*>(offset + round_up(size / kGroup, 16));

  const float factor = 1.0f / __builtin_sqrtf(float(head_dim));
  for (int i = 0; i < head_dim; ++i)
    scores[i] = query[i] * factor;  // scores holds the scaled query for a moment
  const Rows q{cache.dtype, head_dim, data, scale, offset};
  prepare(q, 0, scores);
  for (int panel = 0; panel * kPanel < length; ++panel) {
    const Panels<1, Contiguous> keys{
        {cache.keys + panel * cache.key_panel_bytes()}, {}, cache.values - cache.keys};
    const auto sums = dot<false, 1>(cache.dtype, keys, q, 0, cache.key_steps());
    store(scores + panel * kPanel, sums.of[0][0]);
  }
  if (cache.dtype == DType::int8)
    for (int t = 0; t < length; ++t) scores[t] *= cache.key_scales[t];
  for (int t = length; t < padded; ++t) scores[t] = -__builtin_inff();

  VFloat most = splat(-__builtin_inff());
  for (int t = 0; t < padded; t += kLanes) most = max(most, load<VFloat>(scores + t));
  const VFloat bound = splat(largest(most));
  VFloat sums = {};
  for (int t = 0; t < padded; t += kLanes) {
    const VFloat weight = exp_negative(load<VFloat>(scores + t) - bound);
    store(scores + t, weight);
  }
  for (int t = length; t < padded; ++t) scores[t] = 0;
  for (int t = 0; t < padded; t += kLanes) sums += load<VFloat>(scores + t);
  const float total = 1.0f / sum(sums);
  if (cache.dtype == DType::int8)
    for (int t = 0; t < length; ++t) scores[t] *= cache.value_scales[t];

  const Rows p{cache.dtype, length, data, scale, offset};
  prepare(p, 0, scores);
  auto mix = [&]<int PANELS>(int first, Panels<PANELS, int> values) {
    for (int panel = 0; panel < PANELS; ++panel)
      values.at[panel] = cache.values + (first + panel) * kStepBytes;
    const auto mixed = dot<false, 1>(cache.dtype, values, p, 0, cache.value_steps(length));
    for (int panel = 0; panel < PANELS; ++panel) {
      float lanes[kPanel];
      for (int part = 0; part < kParts; ++part)
        store(lanes + part * kLanes, mixed.of[panel][0][part] * total);
      const int channel = (first + panel) * kPanel, left = head_dim - channel;
      __builtin_memcpy(out + channel, lanes, sizeof(float) * (left < kPanel ? left : kPanel));
    }
  };
  int panel = 0;
  for (; panel + 2 <= cache.value_panels(); panel += 2)
    mix(panel, Panels<2, int>{{}, cache.value_stride(), next - cache.values});
  if (panel < cache.value_panels())
    mix(panel, Panels<1, int>{{}, cache.value_stride(), next - cache.values});
}
