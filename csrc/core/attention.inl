// One query against the KV cache of one head. While the keys are read the values are prefetched,
// and while the values are read, the keys of the next head: each is a stream of the same length.
// Only the panels that the ranges touch are read; their scores stand side by side.
//
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
inline void append_as(const HeadCache& cache, int slot, const T* key, const T* value) {
  const size_t key_panel = cache.key_panel_bytes();
  const int value_stride = cache.value_stride();
  for (int i = 0; i < cache.head_dim; ++i) {
    store(element<TYPE>(cache.keys, key_panel, kStepBytes, slot, i), key[i]);
    store(element<TYPE>(cache.values, kStepBytes, value_stride, i, slot), value[i]);
  }
}

constexpr int kMostChannels = 256;  // the engine's bound on head_dim

void append(const HeadCache& cache, int slot, const float* key, const float* value) {
  if (cache.dtype == DType::fp32) {
    append_as<DType::fp32>(cache, slot, key, value);
  } else if (cache.dtype == DType::bf16) {
    uint16_t k[kMostChannels], v[kMostChannels];
    for (int i = 0; i < cache.head_dim; ++i) {
      k[i] = to_bf16(key[i]);
      v[i] = to_bf16(value[i]);
    }
    append_as<DType::bf16>(cache, slot, k, v);
  } else {
    uint8_t k[kMostChannels], v[kMostChannels];
    cache.key_scales[slot] = quantize_head(key, cache.head_dim, k);
    cache.value_scales[slot] = quantize_head(value, cache.head_dim, v);
    append_as<DType::int8>(cache, slot, k, v);
  }
}

// The part of a prepared row from input `first` on, a multiple of kGroup.
inline PreparedRows rest_of(PreparedRows row, int first) {
#if defined(__AVX512VNNI__)
  constexpr int kBytesOfInt8 = 1;  // in each of two planes
#else
  constexpr int kBytesOfInt8 = 2;
#endif
  const int bytes = row.dtype == DType::fp32 ? 4 : row.dtype == DType::bf16 ? 2 : kBytesOfInt8;
  row.data += ptrdiff_t(first) * bytes;
  row.offset += first / kGroup;
  return row;
}

// Consecutive ranges whose panels touch, which are read in one go, and the index of their first
// panel's first slot among the scores.
struct PanelRun {
  const Range *first, *end;
  int offset;

  int start() const { return first->first / kPanel * kPanel; }
  int last() const { return end[-1].last; }
  int slots() const { return round_up(last(), kPanel) - start(); }  // of whole panels
};

// Calls act(run) for each run of the ranges; returns the number of slots in all of them.
template <class Act>
inline int each_run(const Range* ranges, int count, Act act) {
  const Range* const stop = ranges + count;
  int offset = 0;
  while (ranges < stop) {
    PanelRun run{ranges, ranges + 1, offset};
    while (run.end < stop && run.end->first / kPanel * kPanel <= round_up(run.last(), kPanel))
      ++run.end;
    act(run);
    offset += run.slots();
    ranges = run.end;
  }
  return offset;
}

// Sets the scores of the slots that are in a run's panels but in none of its ranges.
inline void set_others(const PanelRun& run, float* scores, float value) {
  const int start = run.start(), end = start + run.slots();
  int slot = start;
  for (const Range* range = run.first; range < run.end; ++range) {
    for (; slot < range->first; ++slot) scores[slot - start] = value;
    slot = range->last;
  }
  for (; slot < end; ++slot) scores[slot - start] = value;
}

// Multiplies the scores of a run by the scales of its slots.
inline void scale_slots(const PanelRun& run, float* scores, const float* scales) {
  const int start = run.start(), size = run.last() - start;
  for (int i = 0; i < size; ++i) scores[i] *= scales[start + i];
}

// The scores of a run's panels; minus infinity for slots in none of its ranges.
inline void score(const HeadCache& cache, const PanelRun& run, const PreparedRows& query,
                  float* scores) {
  const int start = run.start();
  for (int panel = start / kPanel; panel * kPanel < run.last(); ++panel) {
    const Panels<1, Contiguous> keys{
        {cache.keys + panel * cache.key_panel_bytes()}, {}, cache.values - cache.keys};
    const auto sums = dot<false, 1>(cache.dtype, keys, query, 0, cache.key_steps());
    store(scores + panel * kPanel - start, sums.of[0][0]);
  }
  if (cache.dtype == DType::int8) scale_slots(run, scores, cache.key_scales);
  set_others(run, scores, -__builtin_inff());
}

// Adds to `sums`, for PANELS panels of channels from `first` on, the values of a run's slots
// times their weights. A function of its own, so that its sums stay in registers: inlined, all of
// attend() took 1.1 times as long in int8.
template <int PANELS>
[[gnu::noinline]] void mix(const HeadCache& cache, const PanelRun& run, const PreparedRows& weights,
                           int first, ptrdiff_t ahead, VFloat (&sums)[PANELS][kParts]) {
  const int start = run.start(), stride = cache.value_stride();
  Panels<PANELS, int> values{{}, stride, ahead};
  for (int panel = 0; panel < PANELS; ++panel)
    values.at[panel] =
        cache.values + (first + panel) * kStepBytes + ptrdiff_t(cache.value_steps(start)) * stride;
  const auto mixed =
      dot<false, 1>(cache.dtype, values, weights, 0, cache.value_steps(run.last() - start));
  for (int panel = 0; panel < PANELS; ++panel)
    for (int part = 0; part < kParts; ++part) sums[panel][part] += mixed.of[panel][0][part];
}

// Channels of panels first, first + 1, ... of the output: over all runs, then times `factor`.
template <int PANELS>
inline void mix_all(const HeadCache& cache, const Range* ranges, int count,
                    const PreparedRows& weights, float factor, int first, ptrdiff_t ahead,
                    float* out) {
  VFloat sums[PANELS][kParts] = {};
  each_run(ranges, count, [&](const PanelRun& run) {
    mix<PANELS>(cache, run, rest_of(weights, run.offset), first, ahead, sums);
  });
  for (int panel = 0; panel < PANELS; ++panel) {
    float lanes[kPanel];
    for (int part = 0; part < kParts; ++part)
      store(lanes + part * kLanes, sums[panel][part] * factor);
    const int channel = (first + panel) * kPanel, left = cache.head_dim - channel;
    __builtin_memcpy(out + channel, lanes, sizeof(float) * (left < kPanel ? left : kPanel));
  }
}

void attend(const HeadCache& cache, const Range* ranges, int count, const float* query, float* out,
            float* scratch, const char* next) {
  const int head_dim = cache.head_dim;
  const int padded = each_run(ranges, count, [](const PanelRun&) {});  // whole panels
  const int size = padded > head_dim ? padded : round_up(head_dim, kPanel);
  float* scores = scratch;
  float* scale = scores + size;
  auto* offset = reinterpret_cast<int32_t*>(scale + 16);
  char* data = reinterpret_cast<char*>(offset + round_up(size / kGroup, 16));

  const float factor = 1.0f / __builtin_sqrtf(float(head_dim));
  for (int i = 0; i < head_dim; ++i)
    scores[i] = query[i] * factor;  // scores holds the scaled query for a moment
  const PreparedRows q{cache.dtype, head_dim, data, scale, offset};
  prepare(q, 0, scores);
  each_run(ranges, count, [&](const PanelRun& run) { score(cache, run, q, scores + run.offset); });

  VFloat most = splat(-__builtin_inff());
  for (int t = 0; t < padded; t += kLanes) most = max(most, load<VFloat>(scores + t));
  const VFloat bound = splat(largest(most));
  VFloat sums = {};
  for (int t = 0; t < padded; t += kLanes) {
    const VFloat weight = exp_negative(load<VFloat>(scores + t) - bound);
    store(scores + t, weight);
  }
  each_run(ranges, count, [&](const PanelRun& run) { set_others(run, scores + run.offset, 0); });
  for (int t = 0; t < padded; t += kLanes) sums += load<VFloat>(scores + t);
  const float total = 1.0f / sum(sums);
  if (cache.dtype == DType::int8)
    each_run(ranges, count, [&](const PanelRun& run) {
      scale_slots(run, scores + run.offset, cache.value_scales);
    });

  const PreparedRows p{cache.dtype, padded, data, scale, offset};
  prepare(p, 0, scores);
  const ptrdiff_t ahead = next - cache.values;
  int panel = 0;
  for (; panel + 2 <= cache.value_panels(); panel += 2)
    mix_all<2>(cache, ranges, count, p, total, panel, ahead, out);
  if (panel < cache.value_panels()) mix_all<1>(cache, ranges, count, p, total, panel, ahead, out);
}
