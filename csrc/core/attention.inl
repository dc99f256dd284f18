// Queries of consecutive positions against the KV cache of one head. While the keys are read the
// values are prefetched, and while the values are read, the keys of the next head: each is a stream
// of the same length. Only the panels that the ranges touch are read; their scores stand side by
// side.
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

// A value that is not finite would reach even the positions that do not see it, as its weight of
// zero times infinity is NaN. In its place lie zeros and a key of NaN, which reaches only those
// that see it.
void append(const HeadCache& cache, int slot, const float* key, const float* value) {
  constexpr float kLargest = 3.3895314e38f;  // that is finite in bfloat16
  if (!(magnitude(value, cache.head_dim) <= kLargest)) {
    const float zeros[kMostChannels] = {};
    float nans[kMostChannels];
    for (float& element : nans) element = __builtin_nanf("");
    return append(cache, slot, nans, zeros);
  }
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
  const int bytes = row.dtype == DType::fp32 ? 4 : row.dtype == DType::bf16 ? 2 : kIntegerBytes;
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

// Sets the scores of the last `count` slots that the ranges of a run cover.
inline void set_last(const PanelRun& run, float* scores, int count, float value) {
  const int end = run.last() - run.start();
  for (int slot = end - count; slot < end; ++slot) scores[slot] = value;
}

// Sets what row `row` of ROWS does not see of a run: each row sees one slot more than the row
// before it.
template <int ROWS>
inline void set_unseen(const PanelRun& run, bool is_last, int row, float* scores, float value) {
  set_others(run, scores, value);
  if (is_last) set_last(run, scores, ROWS - 1 - row, value);
}

// Scores of ROWS rows, `stride` floats apart, of a run's panels.
template <int ROWS>
inline void score(const HeadCache& cache, const PanelRun& run, const PreparedRows& queries,
                  float* scores, int stride) {
  const int start = run.start();
  for (int panel = start / kPanel; panel * kPanel < run.last(); ++panel) {
    const Panels<1, Contiguous> keys{
        {cache.keys + panel * cache.key_panel_bytes()}, {}, cache.values - cache.keys};
    const auto sums = dot<false, ROWS>(cache.dtype, keys, queries, 0, cache.key_steps());
    for (int row = 0; row < ROWS; ++row)
      store(scores + row * stride + panel * kPanel - start, sums.of[0][row]);
  }
}

// Adds to `sums`, for PANELS panels of channels from `first` on, the values of a run's slots
// times their weights. A function of its own, so that its sums stay in registers: inlined, all of
// attend() took 1.1 times as long in int8.
template <int ROWS, int PANELS>
[[gnu::noinline]] void mix(const HeadCache& cache, const PanelRun& run, const PreparedRows& weights,
                           int first, ptrdiff_t ahead, Outputs<PANELS, ROWS>& sums) {
  const int start = run.start(), stride = cache.value_stride();
  Panels<PANELS, int> values{{}, stride, ahead};
  for (int panel = 0; panel < PANELS; ++panel)
    values.at[panel] =
        cache.values + (first + panel) * kStepBytes + ptrdiff_t(cache.value_steps(start)) * stride;
  const auto mixed =
      dot<false, ROWS>(cache.dtype, values, weights, 0, cache.value_steps(run.last() - start));
  for (int panel = 0; panel < PANELS; ++panel)
    for (int row = 0; row < ROWS; ++row)
      for (int part = 0; part < kParts; ++part)
        sums.of[panel][row][part] += mixed.of[panel][row][part];
}

// Queries, or outputs, `stride` floats apart.
template <class T>
struct Strided {
  T* first;
  ptrdiff_t stride;
  inline T* row(int index) const { return first + index * stride; }
};

// Channels of panels first, first + 1, ... of the outputs: over all runs, then times `factors`.
template <int ROWS, int PANELS>
inline void mix_all(const HeadCache& cache, const Range* ranges, int count,
                    const PreparedRows& weights, const float (&factors)[ROWS], int first,
                    ptrdiff_t ahead, Strided<float> out) {
  Outputs<PANELS, ROWS> sums = {};
  each_run(ranges, count, [&](const PanelRun& run) {
    mix<ROWS, PANELS>(cache, run, rest_of(weights, run.offset), first, ahead, sums);
  });
  for (int panel = 0; panel < PANELS; ++panel)
    for (int row = 0; row < ROWS; ++row) {
      float lanes[kPanel];
      for (int part = 0; part < kParts; ++part)
        store(lanes + part * kLanes, sums.of[panel][row][part] * factors[row]);
      const int channel = (first + panel) * kPanel, left = cache.head_dim - channel;
      __builtin_memcpy(out.row(row) + channel, lanes,
                       sizeof(float) * (left < kPanel ? left : kPanel));
    }
}

// The ranges are those of the last row.
template <int ROWS>
inline void attend_rows(const HeadCache& cache, const Range* ranges, int count,
                        Strided<const float> queries, Strided<float> out, float* scratch,
                        const char* next) {
  const int head_dim = cache.head_dim;
  const int padded = each_run(ranges, count, [](const PanelRun&) {});  // whole panels
  const int size = round_up(padded > head_dim ? padded : head_dim, kPanel);
  float* scores = scratch;
  float* scale = scores + ROWS * size;
  auto* offset = reinterpret_cast<int32_t*>(scale + 16);
  char* data = reinterpret_cast<char*>(offset + round_up(ROWS * size / kGroup, 16));

  const float factor = 1.0f / __builtin_sqrtf(float(head_dim));
  const PreparedRows q{cache.dtype, head_dim, data, scale, offset};
  for (int row = 0; row < ROWS; ++row) {
    for (int i = 0; i < head_dim; ++i)
      scores[i] = queries.row(row)[i] * factor;  // scores holds the scaled query for a moment
    prepare(q, row, scores);
  }
  each_run(ranges, count,
           [&](const PanelRun& run) { score<ROWS>(cache, run, q, scores + run.offset, size); });

  const PreparedRows p{cache.dtype, padded, data, scale, offset};
  float factors[ROWS];
  for (int row = 0; row < ROWS; ++row, scores += size) {
    const auto each = [&](auto act) {
      each_run(ranges, count, [&](const PanelRun& run) {
        act(run, run.end == ranges + count, scores + run.offset);
      });
    };
    each([&](const PanelRun& run, bool is_last, float* of) {
      if (cache.dtype == DType::int8) scale_slots(run, of, cache.key_scales);
      set_unseen<ROWS>(run, is_last, row, of, -__builtin_inff());
    });
    VFloat most = splat(-__builtin_inff());
    for (int t = 0; t < padded; t += kLanes) most = max(most, load<VFloat>(scores + t));
    const VFloat bound = splat(largest(most));
    for (int t = 0; t < padded; t += kLanes)
      store(scores + t, exp_negative(load<VFloat>(scores + t) - bound));
    each([&](const PanelRun& run, bool is_last, float* of) {
      set_unseen<ROWS>(run, is_last, row, of, 0);
    });
    VFloat sums = {};
    for (int t = 0; t < padded; t += kLanes) sums += load<VFloat>(scores + t);
    factors[row] = 1.0f / sum(sums);
    if (cache.dtype == DType::int8)
      each([&](const PanelRun& run, bool, float* of) { scale_slots(run, of, cache.value_scales); });
    prepare(p, row, scores);
  }

  const ptrdiff_t ahead = next - cache.values;
  constexpr int kPanels = ROWS == 1 ? 2 : 1;  // as many sums as there are registers for
  int panel = 0;
  for (; panel + kPanels <= cache.value_panels(); panel += kPanels)
    mix_all<ROWS, kPanels>(cache, ranges, count, p, factors, panel, ahead, out);
  if (panel < cache.value_panels())
    mix_all<ROWS, 1>(cache, ranges, count, p, factors, panel, ahead, out);
}

static_assert(kRowsAtOnce <= kMostQueryRows);

void attend(const HeadCache& cache, Range* ranges, int count, int rows, const float* queries,
            ptrdiff_t query_stride, float* out, ptrdiff_t out_stride, float* scratch,
            const char* next) {
  int& end = ranges[count - 1].last;
  end -= rows;
  const auto block = [&](auto size, int row) {
    constexpr int kRows = decltype(size)::value;
    end += kRows;
    attend_rows<kRows>(cache, ranges, count, {queries + row * query_stride, query_stride},
                       {out + row * out_stride, out_stride}, scratch, next);
  };
  int row = 0;
  for (; row + kRowsAtOnce <= rows; row += kRowsAtOnce) block(Size<kRowsAtOnce>{}, row);
  if (kRowsAtOnce > 3 && rows - row == 3)
    block(Size<3>{}, row);
  else if (kRowsAtOnce > 2 && rows - row == 2)
    block(Size<2>{}, row);
  else if (rows - row == 1)
    block(Size<1>{}, row);
}
