// Vectors of float and int32 as wide as the registers that the compiler's flags allow, and the few
// operations whose instruction the compiler would not find by itself. Included by kernels.cpp
// inside namespace mas::MAS_ISA.

#if defined(__AVX512F__)
constexpr int kLanes = 16, kRowsAtOnce = 4, kRowsOfPair = 2;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRowsAtOnce = 2, kRowsOfPair = 2;
#elif defined(MAS_NEON)
constexpr int kLanes = 4, kRowsAtOnce = 2, kRowsOfPair = 1;
#else
constexpr int kLanes = 4, kRowsAtOnce = 1, kRowsOfPair = 1;
#endif
constexpr int kParts = kPanel / kLanes;  // vectors that hold the outputs of a panel

using VFloat = float __attribute__((vector_size(4 * kLanes)));
using VInt = int32_t __attribute__((vector_size(4 * kLanes)));
using VWord = uint32_t __attribute__((vector_size(4 * kLanes)));
using VHalf = uint16_t __attribute__((vector_size(2 * kLanes)));

template <int VALUE>
struct Size {
  static constexpr int value = VALUE;
};

template <class T>
inline T load(const void* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
inline void store(void* to, const T& value) {
  __builtin_memcpy(to, &value, sizeof value);
}
inline VFloat splat(float value) { return value - VFloat{}; }
inline VInt splat(int32_t value) { return value - VInt{}; }
inline VFloat to_float(VInt value) { return __builtin_convertvector(value, VFloat); }
inline VFloat as_float(VWord bits) { return reinterpret_cast<VFloat>(bits); }
inline VInt as_int(VFloat bits) { return reinterpret_cast<VInt>(bits); }
inline VFloat load_bf16(const void* from) {
#if defined(MAS_NEON)  // for which GCC 12 would convert one by one
  return as_float(VWord(vshll_n_u16(load<uint16x4_t>(from), 16)));
#else
  return as_float(__builtin_convertvector(load<VHalf>(from), VWord) << 16);
#endif
}
// b if either is NaN.
inline VFloat max(VFloat a, VFloat b) { return a > b ? a : b; }

inline float sum(VFloat value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int half = kLanes / 2; half; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}
inline float largest(VFloat value) {
  float lanes[kLanes];
  store(lanes, value);
  for (int lane = 1; lane < kLanes; ++lane)
    if (lanes[lane] > lanes[0]) lanes[0] = lanes[lane];
  return lanes[0];
}

// e^x to 2 ulp for x <= 0 (below -87: about 1e-38, never zero, which a softmax does not notice):
// 2^n times a polynomial of the remainder in [-ln2/2, ln2/2] (Cody and Waite's two-part ln 2,
// Cephes' coefficients). NaN stays NaN.
inline VFloat exp_negative(VFloat x) {
  x = max(splat(-87.0f), x);
  const VFloat shifted = x * 1.44269504089f + kRounder;
  const VFloat n = shifted - kRounder;
  const VFloat r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  VFloat p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const VInt exponent = (as_int(shifted) - 0x4b400000 + 127) << 23;
  return p * reinterpret_cast<VFloat>(exponent);
}

// x * (1 + erf(x / sqrt 2)) / 2, erf as a rational function on [-4, 4] (the one in Eigen and XLA;
// absolute error below 3e-7).
inline VFloat gelu(VFloat x) {
  VFloat z = x * 0.70710678118654752f;
  z = z > 4.0f ? splat(4.0f) : z;
  z = z < -4.0f ? splat(-4.0f) : z;
  const VFloat s = z * z;
  VFloat a = splat(-2.72614225801306e-10f);
  a = a * s + 2.77068142495902e-08f;
  a = a * s - 2.10102402082508e-06f;
  a = a * s - 5.69250639462346e-05f;
  a = a * s - 7.34990630326855e-04f;
  a = a * s - 2.95459980854025e-03f;
  a = a * s - 1.60960333262415e-02f;
  VFloat b = splat(-1.45660718464996e-05f);
  b = b * s - 2.13374055278905e-04f;
  b = b * s - 1.68282697438203e-03f;
  b = b * s - 7.37332916720468e-03f;
  b = b * s - 1.42647390514189e-02f;
  return x * 0.5f * (z * a / b + 1.0f);
}

// Lane by lane a0 * b0 + a1 * b1 over the two signed 16-bit halves.
inline VInt multiply_halves(VWord a, uint32_t b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<VInt>(
      _mm512_madd_epi16(reinterpret_cast<__m512i>(a), _mm512_set1_epi32(int32_t(b))));
#elif defined(__AVX2__)
  return reinterpret_cast<VInt>(
      _mm256_madd_epi16(reinterpret_cast<__m256i>(a), _mm256_set1_epi32(int32_t(b))));
#elif defined(__SSE2__)
  return reinterpret_cast<VInt>(
      _mm_madd_epi16(reinterpret_cast<__m128i>(a), _mm_set1_epi32(int32_t(b))));
#else
  const auto low = reinterpret_cast<VInt>(a << 16) >> 16, high = reinterpret_cast<VInt>(a) >> 16;
  return low * int32_t(int16_t(b)) + high * int32_t(int16_t(b >> 16));
#endif
}

#if defined(MAS_NEON)
#include "neon.inl"
#endif
