// Products of packed weights with one to four rows of activations, panels of 32 outputs at a time.
// Included by kernels.cpp inside namespace mas::MAS_ISA.
//
// Outputs sit in lanes and an input is broadcast, so no lane is ever summed with another; each row
// has its own accumulators, filled in the order of the steps: the result of a row does not depend
// on the rows beside it.

// Weights stream from memory once, and the hardware prefetcher alone stops at every 4 KiB page.
// Prefetching 36 lines ahead, in two streams at once (linear() below), raises a core's rate from
// 0.8 to 1.05 of a plain sum's in bf16, and from 0.7 to 0.95 in int8.
constexpr ptrdiff_t kAhead = 36 * 64;

inline void fetch(const char* at, int bytes = kStepBytes) {
  for (int line = 0; line < bytes; line += 64) __builtin_prefetch(at + line, 0, 2);
}

// A step of int8; of int4, where two steps share their bytes, the first fetches both.
template <DType TYPE>
inline void fetch_step(const char* at, int stride, int step) {
  if constexpr (TYPE == DType::int8)
    fetch(at + step * stride);
  else if (step % 2 == 0)
    fetch(at + step / 2 * stride);
}

// Panels that are walked together: the beginning of each, the bytes from one step to the next, and
// the distance from a step to what is prefetched meanwhile.
struct Contiguous {
  constexpr operator int() const { return kStepBytes; }
};
template <int PANELS, class Stride>
struct Panels {
  const char* at[PANELS];
  Stride stride;
  ptrdiff_t ahead;
};

// The 32 outputs of PANELS panels for ROWS rows.
template <int PANELS, int ROWS>
struct Outputs {
  VFloat of[PANELS][ROWS][kParts];
};

// One step of one panel against every row; `x` are the rows' data.
template <int ROWS>
inline void step_fp32(VFloat (&sums)[ROWS][kParts], const char* weights,
                      const char* const (&x)[ROWS], int step) {
  for (int part = 0; part < kParts; ++part) {
    const VFloat w = load<VFloat>(weights + part * sizeof w);
    for (int row = 0; row < ROWS; ++row) sums[row][part] += w * load<float>(x[row] + 4 * step);
  }
}

template <int ROWS>
inline void step_bf16(VFloat (&sums)[ROWS][kParts], const char* weights,
                      const char* const (&x)[ROWS], int step) {
  for (int part = 0; part < kParts; ++part) {
    const VWord w = load<VWord>(weights + part * sizeof w);
    for (int row = 0; row < ROWS; ++row) {
      const uint32_t pair = load<uint32_t>(x[row] + 4 * step);
      VFloat& sum = sums[row][part];
#if defined(__AVX512BF16__)
      sum = VFloat(_mm512_dpbf16_ps(__m512(sum), reinterpret_cast<__m512bh>(w),
                                    reinterpret_cast<__m512bh>(_mm512_set1_epi32(int32_t(pair)))));
#elif defined(MAS_NEON) && defined(__ARM_FEATURE_BF16_VECTOR_ARITHMETIC)
      sum = VFloat(vbfdotq_f32(float32x4_t(sum), bfloat16x8_t(w), bfloat16x8_t(pair - VWord{})));
#else
      sum += as_float(w << 16) * from_bf16(uint16_t(pair));
      sum += as_float(w & 0xffff0000u) * from_bf16(uint16_t(pair >> 16));
#endif
    }
  }
}

// fp32 and bf16: if registers allow, even and odd steps have separate accumulators, which halves
// both the chain of dependent additions and its rounding error.
template <DType TYPE, int PANELS, class Stride, int ROWS>
inline Outputs<PANELS, ROWS> dot_float(const Panels<PANELS, Stride>& panels,
                                       const char* const (&x)[ROWS], int steps) {
  constexpr auto one = TYPE == DType::fp32 ? step_fp32<ROWS> : step_bf16<ROWS>;
  constexpr int kChains = kParts == 2 ? 2 : 1;
  Outputs<PANELS, ROWS> sums[kChains] = {};
  auto take = [&](int chain, int step) {
    for (int panel = 0; panel < PANELS; ++panel) {
      const char* weights = panels.at[panel] + ptrdiff_t(step) * panels.stride;
      fetch(weights + panels.ahead);
      one(sums[chain].of[panel], weights, x, step);
    }
  };
  int step = 0;
  for (; step + kChains <= steps; step += kChains)
    for (int chain = 0; chain < kChains; ++chain) take(chain, step + chain);
  for (; step < steps; ++step) take(0, step);
  for (int chain = 1; chain < kChains; ++chain)
    for (int panel = 0; panel < PANELS; ++panel)
      for (int row = 0; row < ROWS; ++row)
        for (int part = 0; part < kParts; ++part)
          sums[0].of[panel][row][part] += sums[chain].of[panel][row][part];
  return sums[0];
}

#if defined(MAS_NEON)
#include "integers_neon.inl"
#else
#include "integers.inl"
#endif

// int8 and int4: the integers of 32 inputs are summed exactly (below 2^30), then scaled and added
// in float.
template <DType TYPE, bool SCALED, int PANELS, class Stride, int ROWS>
inline Outputs<PANELS, ROWS> dot_levels(const Panels<PANELS, Stride>& panels,
                                        const char* const (&x)[ROWS], const PreparedRows& rows,
                                        int first, int steps) {
  constexpr int kSteps = kGroup / 4;
  const ptrdiff_t bytes = SCALED ? group_bytes(TYPE) : kSteps * panels.stride;
  Outputs<PANELS, ROWS> outputs = {};
  for (int group = 0, left = steps; left > 0; ++group, left -= kSteps) {
    int32_t offset[ROWS];
    for (int row = 0; row < ROWS; ++row)
      offset[row] = rows.offset[(first + row) * rows.groups() + group];
    for (int panel = 0; panel < PANELS; ++panel) {
      const char* weights = panels.at[panel] + group * bytes;
      VInt sums[ROWS][kParts];
      if constexpr (SCALED) {
        fetch(weights + panels.ahead, kScaleBytes);
        sum_group<TYPE>(weights + kScaleBytes, panels.stride, panels.ahead, x, rows.padded(),
                        group * kSteps, kSteps, offset, sums);
      } else {
        sum_group<TYPE>(weights, panels.stride, panels.ahead, x, rows.padded(), group * kSteps,
                        left < kSteps ? left : kSteps, offset, sums);
      }
      for (int part = 0; part < kParts; ++part) {
        const VFloat scale = SCALED ? load_bf16(weights + part * sizeof(VHalf)) : splat(1.0f);
        for (int row = 0; row < ROWS; ++row)
          outputs.of[panel][row][part] += to_float(sums[row][part]) * scale;
      }
    }
  }
  for (auto& panel : outputs.of)
    for (int row = 0; row < ROWS; ++row)
      for (VFloat& part : panel[row]) part *= rows.scale[first + row];
  return outputs;
}

// Panels against rows first, first + 1, ... of `rows`; unscaled int8 is the KV cache.
template <bool SCALED, int ROWS, int PANELS, class Stride>
inline Outputs<PANELS, ROWS> dot(DType dtype, const Panels<PANELS, Stride>& panels,
                                 const PreparedRows& rows, int first, int steps) {
  const char* x[ROWS];
  for (int row = 0; row < ROWS; ++row) x[row] = rows.row(first + row);
  if (dtype == DType::fp32) return dot_float<DType::fp32>(panels, x, steps);
  if (dtype == DType::bf16) return dot_float<DType::bf16>(panels, x, steps);
  if constexpr (SCALED)  // no cache is int4
    if (dtype == DType::int4) return dot_levels<DType::int4, true>(panels, x, rows, first, steps);
  return dot_levels<DType::int8, SCALED>(panels, x, rows, first, steps);
}

// The arguments of linear(), and the outputs of some panels for rows first, first + 1, ...
struct Linear {
  const Packed& weights;
  const PreparedRows& rows;
  const float* bias;
  Epilogue epilogue;
  float* out;
  ptrdiff_t stride;

  template <int ROWS, int PANELS>
  inline void panels(int first, const int (&index)[PANELS]) const {
    Panels<PANELS, Contiguous> data{{}, {}, kAhead};
    for (int panel = 0; panel < PANELS; ++panel) data.at[panel] = weights.panel(index[panel]);
    const auto sums = dot<true, ROWS>(weights.dtype, data, rows, first,
                                      ceil_div(weights.inputs, inputs_per_step(weights.dtype)));
    for (int panel = 0; panel < PANELS; ++panel)
      finish(sums.of[panel], ROWS, first, index[panel] * kPanel);
  }

  inline void finish(const VFloat (*sums)[kParts], int count, int first, int output) const {
    const int valid = weights.outputs - output < kPanel ? weights.outputs - output : kPanel;
    float added[kPanel] = {};
    if (bias) __builtin_memcpy(added, bias + output, sizeof(float) * valid);
    for (int row = 0; row < count; ++row) {
      float lanes[kPanel];
      for (int part = 0; part < kParts; ++part) {
        VFloat value = sums[row][part] + load<VFloat>(added + kLanes * part);
        if (epilogue == Epilogue::gelu) value = gelu(value);
        store(lanes + kLanes * part, value);
      }
      float* to = out + (first + row) * stride + output;
      if (epilogue == Epilogue::add)
        for (int lane = 0; lane < valid; ++lane) to[lane] += lanes[lane];
      else
        __builtin_memcpy(to, lanes, sizeof(float) * valid);
    }
  }
};

inline void linear_vectors(const Linear& task, int count, int first, int last) {
  int panel = first;
  if (count <= kRowsOfPair) {  // bound by memory: two streams, half a share apart
    const int half = (last - first) / 2;
    for (; panel < first + half; ++panel) {
      const int pair[] = {panel, panel + half};
      if (count == 2)
        task.panels<2>(0, pair);
      else
        task.panels<1>(0, pair);
    }
    panel = first + 2 * half;
  }
  for (; panel < last; ++panel) {
    // A panel of 4096 inputs is at most 512 KiB, so only its first read misses the core's caches.
    const int one[] = {panel};
    int row = 0;
    for (; row + kRowsAtOnce <= count; row += kRowsAtOnce) task.panels<kRowsAtOnce>(row, one);
    if (kRowsAtOnce > 3 && count - row == 3)
      task.panels<3>(row, one);
    else if (kRowsAtOnce > 2 && count - row == 2)
      task.panels<2>(row, one);
    else if (count - row == 1)
      task.panels<1>(row, one);
  }
}
