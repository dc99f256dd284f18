// Compiled once for each instruction set with MAS_ISA=<its name>. Nothing here may call an inline
// function of another header: the linker might keep a copy that the processor cannot run.
#include "resize_rows.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(MAS_NEON)
#include <arm_neon.h>
#endif

namespace mas::MAS_ISA {
namespace {

#if defined(__AVX512BW__)
constexpr int kBytes = 64;
#elif defined(__AVX2__)
constexpr int kBytes = 32;
#else
constexpr int kBytes = 16;
#endif
constexpr int kLanes = kBytes / 2;

using VByte = uint8_t __attribute__((vector_size(kBytes)));
using VShort = int16_t __attribute__((vector_size(kBytes)));
using VLine = VShort[kResizeLine / kLanes];

template <class T>
inline T load(const void* from) {
  T value;
  __builtin_memcpy(&value, from, sizeof value);
  return value;
}

// (a * b + 2^14) >> 15
inline VShort multiply(VShort a, VShort b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<VShort>(
      _mm512_mulhrs_epi16(reinterpret_cast<__m512i>(a), reinterpret_cast<__m512i>(b)));
#elif defined(__AVX2__)
  return reinterpret_cast<VShort>(
      _mm256_mulhrs_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b)));
#elif defined(__SSE2__)
  const auto x = reinterpret_cast<__m128i>(a), y = reinterpret_cast<__m128i>(b);
  const __m128i one = _mm_set1_epi16(1), low = _mm_srli_epi16(_mm_mullo_epi16(x, y), 14);
  return reinterpret_cast<VShort>(_mm_add_epi16(_mm_slli_epi16(_mm_mulhi_epi16(x, y), 1),
                                                _mm_srli_epi16(_mm_add_epi16(low, one), 1)));
#elif defined(MAS_NEON)
  return VShort(vqrdmulhq_s16(int16x8_t(a), int16x8_t(b)));
#else
  VShort product;
  for (int i = 0; i < kLanes; ++i) product[i] = int16_t((int32_t(a[i]) * b[i] + 16384) >> 15);
  return product;
#endif
}

void widen(const uint8_t* from, int count, int16_t* to) {
  for (int i = 0; i < count; ++i) to[i] = int16_t(from[i] << 7);
}

inline uint8_t clamped(int32_t value) { return uint8_t(value < 0 ? 0 : value > 255 ? 255 : value); }

// a and b as bytes, within 0..255.
inline void store_bytes(VShort a, VShort b, uint8_t* to) {
#if defined(__AVX512BW__)
  const __m512i zero = _mm512_setzero_si512();
  const __m512i x = _mm512_max_epi16(reinterpret_cast<__m512i>(a), zero);
  const __m512i y = _mm512_max_epi16(reinterpret_cast<__m512i>(b), zero);
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm512_cvtusepi16_epi8(x));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + kLanes), _mm512_cvtusepi16_epi8(y));
#elif defined(__AVX2__)
  const __m256i bytes =
      _mm256_packus_epi16(reinterpret_cast<__m256i>(a), reinterpret_cast<__m256i>(b));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), _mm256_permute4x64_epi64(bytes, 0xd8));
#elif defined(__SSE2__)
  _mm_storeu_si128(reinterpret_cast<__m128i*>(to),
                   _mm_packus_epi16(reinterpret_cast<__m128i>(a), reinterpret_cast<__m128i>(b)));
#elif defined(MAS_NEON)
  vst1q_u8(to, vcombine_u8(vqmovun_s16(int16x8_t(a)), vqmovun_s16(int16x8_t(b))));
#else
  for (int i = 0; i < kLanes; ++i) to[i] = clamped(a[i]), to[kLanes + i] = clamped(b[i]);
#endif
}

void down(const int16_t* const* rows, const int16_t* weights, int taps, int count, uint8_t* out) {
  for (int i = 0; i < count; i += kResizeLine) {
    if (taps <= kExactTaps) {
      VLine sums = {};
      for (int k = 0; k < taps; ++k) {
        const VShort weight = weights[k] - VShort{};
        for (int v = 0; v < kResizeLine / kLanes; ++v)
          sums[v] += multiply(load<VShort>(rows[k] + i + v * kLanes), weight);
      }
      for (int v = 0; v < kResizeLine / kLanes; v += 2)
        store_bytes((sums[v] + 32) >> 6, (sums[v + 1] + 32) >> 6, out + i + v * kLanes);
    } else {
      int32_t sums[kResizeLine] = {};
      for (int k = 0; k < taps; ++k)
        for (int j = 0; j < kResizeLine; ++j)
          sums[j] += int32_t(weights[k]) * (rows[k][i + j] >> 7);
      for (int j = 0; j < kResizeLine; ++j) out[i + j] = clamped((sums[j] + 8192) >> 14);
    }
  }
}

template <int... Index>
struct Lanes {};
template <int Count, int... Index>
struct Range : Range<Count - 1, Count - 1, Index...> {};
template <int... Index>
struct Range<0, Index...> {
  using type = Lanes<Index...>;
};

// Of each 16 bytes, the first (At = 0) or the last (At = 8) eight of a and b in turn.
template <int At, int... I>
inline VByte interleave(VByte a, VByte b, Lanes<I...>) {
#if defined(__clang__)
  return __builtin_shufflevector(a, b, (I / 16 * 16 + I % 16 / 2 + At + I % 2 * kBytes)...);
#else
  return __builtin_shuffle(a, b, VByte{(I / 16 * 16 + I % 16 / 2 + At + I % 2 * kBytes)...});
#endif
}

void transpose(const uint8_t* from, ptrdiff_t from_stride, int rows, int columns, uint8_t* to,
               ptrdiff_t to_stride) {
  using All = typename Range<kBytes>::type;
  for (int c = 0; c < columns; c += kBytes) {  // few lines are written at a time, each to its end
    const int width = columns - c < kBytes ? columns - c : kBytes;
    for (int r = 0; r < rows; r += kResizeTile) {
      const int height = rows - r < kResizeTile ? rows - r : kResizeTile;
      VByte tile[16], next[16];
      for (int i = 0; i < 16; ++i) tile[i] = load<VByte>(from + (r + i) * from_stride + c);
      for (int round = 0; round < 4; ++round) {  // four perfect shuffles of 16 are a transpose
        for (int i = 0; i < 8; ++i) {
          next[2 * i] = interleave<0>(tile[i], tile[i + 8], All{});
          next[2 * i + 1] = interleave<8>(tile[i], tile[i + 8], All{});
        }
        __builtin_memcpy(tile, next, sizeof tile);
      }
      const auto* bytes = reinterpret_cast<const uint8_t*>(tile);
      for (int i = 0; i < width; ++i) {
        const uint8_t* column = bytes + i % 16 * kBytes + i / 16 * 16;
        uint8_t* target = to + (c + i) * to_stride + r;
        if (height == kResizeTile)
          __builtin_memcpy(target, column, kResizeTile);
        else
          for (int j = 0; j < height; ++j) target[j] = column[j];
      }
    }
  }
}

}  // namespace

extern const ResizeRows resize_rows = {widen, down, transpose};

}  // namespace mas::MAS_ISA
