// Norms, and the forms of a row that the matrix products read.
// Included by kernels.cpp inside namespace mas::MAS_ISA.

// sum_i term(x[i]) with a partial sum per lane; the tail is filled with `padding`, whose term must
// be 0.
template <class Term>
inline float sum_terms(const float* x, int size, float padding, Term term) {
  VFloat sums[2] = {};
  int i = 0;
  for (; i + 2 * kLanes <= size; i += 2 * kLanes) {
    sums[0] += term(load<VFloat>(x + i));
    sums[1] += term(load<VFloat>(x + i + kLanes));
  }
  for (; i < size; i += kLanes) {
    VFloat tail = splat(padding);
    __builtin_memcpy(&tail, x + i, sizeof(float) * (size - i < kLanes ? size - i : kLanes));
    sums[0] += term(tail);
  }
  return sum(sums[0] + sums[1]);
}

void layer_norm(const float* x, const float* weight, const float* bias, int size, float epsilon,
                float* y) {
  const float mean = sum_terms(x, size, 0.0f, [](VFloat v) { return v; }) / float(size);
  const float squares =
      sum_terms(x, size, mean, [mean](VFloat v) { return (v - mean) * (v - mean); });
  // NaN where the variance is infinite: 1 / inf would leave the bias alone, a plausible result.
  const float inverse =
      1.0f / __builtin_sqrtf(squares / float(size) + epsilon) + (squares - squares);
  for (int i = 0; i < size; ++i) y[i] = (x[i] - mean) * inverse * weight[i] + bias[i];
}

void rms_norm(float* x, const float* weight, int size, float epsilon) {
  const float squares = sum_terms(x, size, 0.0f, [](VFloat v) { return v * v; });
  const float inverse = 1.0f / __builtin_sqrtf(squares / float(size) + epsilon);
  for (int i = 0; i < size; ++i) x[i] *= inverse * weight[i];
}

// max |x[i]|, or NaN if an x[i] is infinite or NaN.
inline float magnitude(const float* x, int size) {
  VFloat most = {}, poison = {};
  const auto take = [&](VFloat value) {
    most = max(most, max(value, -value));
    poison += value * 0.0f;  // a comparison alone would lose a NaN
  };
  int i = 0;
  for (; i + kLanes <= size; i += kLanes) take(load<VFloat>(x + i));
  if (i < size) {
    VFloat tail = {};
    __builtin_memcpy(&tail, x + i, sizeof(float) * (size - i));
    take(tail);
  }
  return largest(most) + sum(poison);
}

// Whether numbers up to `bound` can be quantized: it is neither NaN nor so small that its inverse
// is infinite. Otherwise bound - bound is the right scale: NaN, or 0 for such small numbers.
inline bool usable(float bound) { return bound > 1e-30f; }

// 127 * 256 + 127: the largest integer that two signed bytes, high * 256 + low, can hold on both
// sides.
constexpr float kLargestInteger = 32639.0f;

void prepare_int8(const PreparedRows& rows, int row, const float* x) {
  const int size = rows.inputs, padded = rows.padded();
  int32_t* offset = rows.offset + row * rows.groups();
  const float bound = magnitude(x, size), inverse = kLargestInteger / bound;
  const bool fine = usable(bound);
  rows.scale[row] = fine ? bound / kLargestInteger : bound - bound;
  for (int group = 0; group * kGroup < padded; ++group) {
    int32_t integers[kGroup] = {};
    const int valid = size - group * kGroup < kGroup ? size - group * kGroup : kGroup;
    for (int k = 0; k < (fine ? valid : 0); ++k) {
      const float shifted = x[group * kGroup + k] * inverse + kRounder;
      integers[k] = int32_t(shifted - kRounder);
    }
    int32_t total = 0;
    for (int k = 0; k < kGroup; ++k) total += integers[k];
    offset[group] = -128 * total;
    store_integers(rows, row, group, integers);
  }
}

void prepare(const PreparedRows& rows, int row, const float* x) {
  char* out = rows.row(row);
  const int size = rows.inputs, padded = rows.padded();
  if (rows.dtype == DType::fp32) {
    __builtin_memcpy(out, x, 4 * size_t(size));
    __builtin_memset(out + 4 * size_t(size), 0, 4 * size_t(padded - size));
  } else if (rows.dtype == DType::bf16) {
    for (int group = 0; group * kGroup < padded; ++group) {
      uint16_t halves[kGroup] = {};
      const int valid = size - group * kGroup < kGroup ? size - group * kGroup : kGroup;
      for (int k = 0; k < valid; ++k) {
        const uint32_t bits = load<uint32_t>(x + group * kGroup + k);
        halves[k] = uint16_t((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
      }
      store(rows.tile ? rows.tiled(row, group) : out + group * sizeof halves, halves);
    }
  } else {
    prepare_int8(rows, row, x);
  }
}
