// Sixteen lanes of float or int32 in whatever registers the compiler's flags allow, and the few operations
// for which an instruction set has an instruction that the compiler would not find by itself.
// Included by kernels.cpp inside namespace mas::MAS_ISA.

using f32x16 = float __attribute__((vector_size(64)));
using i32x16 = int32_t __attribute__((vector_size(64)));
using u32x16 = uint32_t __attribute__((vector_size(64)));
using u16x16 = uint16_t __attribute__((vector_size(32)));

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
inline f32x16 splat(float value) { return value - f32x16{}; }
inline i32x16 splat(int32_t value) { return value - i32x16{}; }
inline f32x16 to_float(i32x16 value) { return __builtin_convertvector(value, f32x16); }
inline f32x16 as_float(u32x16 bits) { return reinterpret_cast<f32x16>(bits); }
inline i32x16 as_int(f32x16 bits) { return reinterpret_cast<i32x16>(bits); }
inline f32x16 load_bf16(const void* from) {
  return as_float(__builtin_convertvector(load<u16x16>(from), u32x16) << 16);
}
inline f32x16 max(f32x16 a, f32x16 b) { return a > b ? a : b; }

inline float sum(f32x16 value) {
  float lanes[16];
  store(lanes, value);
  for (int half = 8; half; half /= 2)
    for (int lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  return lanes[0];
}
inline float largest(f32x16 value) {
  float lanes[16];
  store(lanes, value);
  for (int lane = 1; lane < 16; ++lane)
    if (lanes[lane] > lanes[0]) lanes[0] = lanes[lane];
  return lanes[0];
}

// e^x to 2 ulp for x <= 0 (below -87: about 1e-38, never zero, which a softmax does not notice):
// 2^n times a polynomial of the remainder in [-ln2/2, ln2/2] (Cody and Waite's two-part ln 2, Cephes' coefficients).
inline f32x16 exp_negative(f32x16 x) {
  x = max(x, splat(-87.0f));
  const f32x16 shifted = x * 1.44269504089f + 12582912.0f;  // 1.5 * 2^23: the sum rounds to an integer
  const f32x16 n = shifted - 12582912.0f;
  const f32x16 r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
  f32x16 p = splat(1.9875691500e-4f);
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  const i32x16 exponent = (as_int(shifted) - 0x4b400000 + 127) << 23;
  return p * reinterpret_cast<f32x16>(exponent);
}

// x * (1 + erf(x / sqrt 2)) / 2, erf as a rational function on [-4, 4] (the one in Eigen and XLA; absolute error
// below 3e-7).
inline f32x16 gelu(f32x16 x) {
  f32x16 z = x * 0.70710678118654752f;
  z = z > 4.0f ? splat(4.0f) : z;
  z = z < -4.0f ? splat(-4.0f) : z;
  const f32x16 s = z * z;
  f32x16 a = splat(-2.72614225801306e-10f);
  a = a * s + 2.77068142495902e-08f;
  a = a * s - 2.10102402082508e-06f;
  a = a * s - 5.69250639462346e-05f;
  a = a * s - 7.34990630326855e-04f;
  a = a * s - 2.95459980854025e-03f;
  a = a * s - 1.60960333262415e-02f;
  f32x16 b = splat(-1.45660718464996e-05f);
  b = b * s - 2.13374055278905e-04f;
  b = b * s - 1.68282697438203e-03f;
  b = b * s - 7.37332916720468e-03f;
  b = b * s - 1.42647390514189e-02f;
  return x * 0.5f * (z * a / b + 1.0f);
}

// Four neighbouring bytes or two neighbouring 16-bit values, for all lanes.
inline uint32_t load_word(const void* from) { return load<uint32_t>(from); }

// Lane by lane a0 * b0 + a1 * b1 over the two signed 16-bit halves.
inline i32x16 multiply_halves(u32x16 a, uint32_t b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<i32x16>(
      _mm512_madd_epi16(reinterpret_cast<__m512i>(a), _mm512_set1_epi32(int32_t(b))));
#elif defined(__AVX2__)
  __m256i half[2];
  __builtin_memcpy(half, &a, sizeof a);
  const __m256i both = _mm256_set1_epi32(int32_t(b));
  for (__m256i& part : half) part = _mm256_madd_epi16(part, both);
  return load<i32x16>(half);
#else
  const auto low = reinterpret_cast<i32x16>(a << 16) >> 16, high = reinterpret_cast<i32x16>(a) >> 16;
  return low * int32_t(int16_t(b)) + high * int32_t(int16_t(b >> 16));
#endif
}
