// Products of packed weights with one to four rows of activations, a panel of 32 outputs at a time.
// Included by kernels.cpp inside namespace mas::MAS_ISA.
//
// Outputs sit in lanes and an input is broadcast, so no lane is ever summed with another; each row has its own
// accumulators, filled in the order of the steps: the result of a row does not depend on the rows beside it.

// The 32 outputs of a panel for ROWS rows.
template <int ROWS>
struct Outputs {
  f32x16 half[ROWS][2];
};

template <int ROWS>
inline Outputs<ROWS> zeros() {
  Outputs<ROWS> outputs;
  for (auto& row : outputs.half) row[0] = row[1] = f32x16{};
  return outputs;
}

template <int ROWS>
inline void step_fp32(Outputs<ROWS>& sums, const char* weights, const char* const (&x)[ROWS], int step) {
  const f32x16 w0 = load<f32x16>(weights), w1 = load<f32x16>(weights + 64);
  for (int row = 0; row < ROWS; ++row) {
    const float value = load<float>(x[row] + 4 * step);
    sums.half[row][0] += w0 * value;
    sums.half[row][1] += w1 * value;
  }
}

template <int ROWS>
inline void step_bf16(Outputs<ROWS>& sums, const char* weights, const char* const (&x)[ROWS], int step) {
#if defined(__AVX512BF16__)
  const auto w0 = reinterpret_cast<__m512bh>(load<i32x16>(weights));
  const auto w1 = reinterpret_cast<__m512bh>(load<i32x16>(weights + 64));
  for (int row = 0; row < ROWS; ++row) {
    const auto both = reinterpret_cast<__m512bh>(_mm512_set1_epi32(int32_t(load_word(x[row] + 4 * step))));
    sums.half[row][0] = f32x16(_mm512_dpbf16_ps(__m512(sums.half[row][0]), w0, both));
    sums.half[row][1] = f32x16(_mm512_dpbf16_ps(__m512(sums.half[row][1]), w1, both));
  }
#else
  for (int half = 0; half < 2; ++half) {
    const u32x16 w = load<u32x16>(weights + 64 * half);
    const f32x16 w0 = as_float(w << 16), w1 = as_float(w & 0xffff0000u);
    for (int row = 0; row < ROWS; ++row) {
      const uint32_t both = load_word(x[row] + 4 * step);
      const uint32_t low = both << 16, high = both & 0xffff0000u;
      sums.half[row][half] += w0 * load<float>(&low);
      sums.half[row][half] += w1 * load<float>(&high);
    }
  }
#endif
}

// fp32 and bf16: even and odd steps have accumulators of their own, which halves both the chain of dependent
// additions and its rounding error.
template <int ROWS, DType TYPE>
inline Outputs<ROWS> dot_float(const char* panel, const char* const (&x)[ROWS], int steps) {
  constexpr auto one = TYPE == DType::fp32 ? step_fp32<ROWS> : step_bf16<ROWS>;
  Outputs<ROWS> even = zeros<ROWS>(), odd = zeros<ROWS>();
  int step = 0;
  for (; step + 1 < steps; step += 2) {
    one(even, panel + step * kStepBytes, x, step);
    one(odd, panel + (step + 1) * kStepBytes, x, step + 1);
  }
  if (step < steps) one(even, panel + step * kStepBytes, x, step);
  for (int row = 0; row < ROWS; ++row)
    for (int half = 0; half < 2; ++half) even.half[row][half] += odd.half[row][half];
  return even;
}

// One row's integers against the bytes of `steps` (at most 8) steps; exact, so any order gives the same.
// The form of a row's integers is prepare()'s: two planes of signed bytes for VNNI, else pairs (0, 2), (1, 3).
template <int ROWS>
inline void sum_group(const char* weights, const char* const (&x)[ROWS], int plane, int first, int steps,
                      const int32_t (&offset)[ROWS], i32x16 (&sums)[ROWS][2]) {
#if defined(__AVX512VNNI__)
  i32x16 high[ROWS][2];
  for (int row = 0; row < ROWS; ++row) {
    high[row][0] = high[row][1] = i32x16{};
    sums[row][0] = sums[row][1] = splat(offset[row]);
  }
#pragma GCC unroll 8
  for (int step = 0; step < steps; ++step) {
    const __m512i w0 = reinterpret_cast<__m512i>(load<i32x16>(weights + step * kStepBytes));
    const __m512i w1 = reinterpret_cast<__m512i>(load<i32x16>(weights + step * kStepBytes + 64));
    for (int row = 0; row < ROWS; ++row) {
      const char* at = x[row] + 4 * (first + step);
      const __m512i h = _mm512_set1_epi32(int32_t(load_word(at)));
      const __m512i l = _mm512_set1_epi32(int32_t(load_word(at + plane)));
      high[row][0] = i32x16(_mm512_dpbusd_epi32(__m512i(high[row][0]), w0, h));
      high[row][1] = i32x16(_mm512_dpbusd_epi32(__m512i(high[row][1]), w1, h));
      sums[row][0] = i32x16(_mm512_dpbusd_epi32(__m512i(sums[row][0]), w0, l));
      sums[row][1] = i32x16(_mm512_dpbusd_epi32(__m512i(sums[row][1]), w1, l));
    }
  }
  for (int row = 0; row < ROWS; ++row)
    for (int half = 0; half < 2; ++half) sums[row][half] += high[row][half] << 8;
#else
  (void)plane;
  for (int row = 0; row < ROWS; ++row) sums[row][0] = sums[row][1] = splat(offset[row]);
  for (int step = 0; step < steps; ++step)
    for (int half = 0; half < 2; ++half) {
      const u32x16 w = load<u32x16>(weights + step * kStepBytes + 64 * half);
      const u32x16 even = w & 0x00ff00ffu, odd = w >> 8 & 0x00ff00ffu;
      for (int row = 0; row < ROWS; ++row) {
        const char* at = x[row] + 8 * (first + step);
        sums[row][half] += multiply_halves(even, load_word(at)) + multiply_halves(odd, load_word(at + 4));
      }
    }
#endif
}

// int8: the integers of 32 inputs are summed exactly (below 2^30), then scaled and added in float.
template <int ROWS, bool SCALED>
inline Outputs<ROWS> dot_int8(const char* panel, const Rows& rows, const int (&index)[ROWS], int steps) {
  constexpr int kSteps = kGroup / 4;
  constexpr size_t kBytes = SCALED ? kGroupBytes : kSteps * kStepBytes;
  const char* x[ROWS];
  for (int row = 0; row < ROWS; ++row) x[row] = rows.row(index[row]);
  const int groups_per_row = rows.groups();
  Outputs<ROWS> outputs = zeros<ROWS>();
  for (int group = 0, left = steps; left > 0; ++group, left -= kSteps) {
    const char* weights = panel + group * kBytes;
    int32_t offset[ROWS];
    for (int row = 0; row < ROWS; ++row) offset[row] = rows.offset[index[row] * groups_per_row + group];
    i32x16 sums[ROWS][2];
    if constexpr (SCALED) {
      const f32x16 s0 = load_bf16(weights), s1 = load_bf16(weights + 32);
      sum_group<ROWS>(weights + kScaleBytes, x, rows.padded(), group * kSteps, kSteps, offset, sums);
      for (int row = 0; row < ROWS; ++row) {
        outputs.half[row][0] += to_float(sums[row][0]) * s0;
        outputs.half[row][1] += to_float(sums[row][1]) * s1;
      }
    } else {
      sum_group<ROWS>(weights, x, rows.padded(), group * kSteps, left < kSteps ? left : kSteps, offset, sums);
      for (int row = 0; row < ROWS; ++row)
        for (int half = 0; half < 2; ++half) outputs.half[row][half] += to_float(sums[row][half]);
    }
  }
  for (int row = 0; row < ROWS; ++row)
    for (auto& half : outputs.half[row]) half *= rows.scale[index[row]];
  return outputs;
}

// A panel against rows first, first + 1, ... of `rows`; unscaled int8 is the KV cache.
template <int ROWS, bool SCALED>
inline Outputs<ROWS> dot(DType dtype, const char* panel, const Rows& rows, int first, int steps) {
  int index[ROWS];
  const char* x[ROWS];
  for (int row = 0; row < ROWS; ++row) {
    index[row] = first + row;
    x[row] = rows.row(first + row);
  }
  if (dtype == DType::fp32) return dot_float<ROWS, DType::fp32>(panel, x, steps);
  if (dtype == DType::bf16) return dot_float<ROWS, DType::bf16>(panel, x, steps);
  return dot_int8<ROWS, SCALED>(panel, rows, index, steps);
}

template <int ROWS>
inline void linear_panel(const Packed& weights, const Rows& rows, int first, const float* bias, Epilogue epilogue,
                         float* out, ptrdiff_t stride, int panel) {
  const Outputs<ROWS> sums = dot<ROWS, true>(weights.dtype, weights.panel(panel), rows, first,
                                             ceil_div(weights.inputs, inputs_per_step(weights.dtype)));
  const int output = panel * kPanel;
  const int valid = weights.outputs - output < kPanel ? weights.outputs - output : kPanel;
  float added[kPanel] = {};
  if (bias) __builtin_memcpy(added, bias + output, sizeof(float) * valid);
  for (int row = 0; row < ROWS; ++row) {
    float lanes[kPanel];
    for (int half = 0; half < 2; ++half) {
      f32x16 value = sums.half[row][half] + load<f32x16>(added + 16 * half);
      if (epilogue == Epilogue::gelu) value = gelu(value);
      store(lanes + 16 * half, value);
    }
    float* to = out + (first + row) * stride + output;
    if (epilogue == Epilogue::add)
      for (int lane = 0; lane < valid; ++lane) to[lane] += lanes[lane];
    else
      __builtin_memcpy(to, lanes, sizeof(float) * valid);
  }
}

void linear(const Packed& weights, const Rows& rows, int count, const float* bias, Epilogue epilogue, float* out,
            ptrdiff_t stride, int first, int last) {
  for (int panel = first; panel < last; ++panel) {
    int row = 0;  // a panel of 4096 inputs is at most 512 KiB, so only its first read leaves the core's caches
    for (; row + 4 <= count; row += 4) linear_panel<4>(weights, rows, row, bias, epilogue, out, stride, panel);
    if (count - row == 3) linear_panel<3>(weights, rows, row, bias, epilogue, out, stride, panel);
    if (count - row == 2) linear_panel<2>(weights, rows, row, bias, epilogue, out, stride, panel);
    if (count - row == 1) linear_panel<1>(weights, rows, row, bias, epilogue, out, stride, panel);
  }
}
