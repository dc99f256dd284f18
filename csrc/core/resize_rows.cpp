// Compiled once for each instruction set with MAS_ISA=<its name>, without contraction into fused
// multiply-adds: see resize.h. Nothing here may call an inline function of another header.
#include "resize_rows.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

namespace mas::MAS_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kLanes = 16;
#elif defined(__AVX2__)
constexpr int kLanes = 8;
#else
constexpr int kLanes = 4;
#endif
constexpr int kUnroll = 4;

using VFloat = float __attribute__((vector_size(4 * kLanes)));
using VInt = int32_t __attribute__((vector_size(4 * kLanes)));
using VByte = uint8_t __attribute__((vector_size(kLanes)));

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
// GCC widens and narrows such vectors lane by lane, which takes four times as long as all the rest.
inline VFloat load_bytes(const uint8_t* from) {
#if defined(__AVX512F__)
  const auto wide = reinterpret_cast<VInt>(_mm512_cvtepu8_epi32(load<__m128i>(from)));
#elif defined(__AVX2__)
  const auto wide = reinterpret_cast<VInt>(_mm256_cvtepu8_epi32(_mm_cvtsi64_si128(load<int64_t>(from))));
#else
  const auto wide = __builtin_convertvector(load<VByte>(from), VInt);
#endif
  return __builtin_convertvector(wide, VFloat);
}
// Of integers within 0..255.
inline void store_bytes(uint8_t* to, VInt value) {
#if defined(__AVX512F__)
  store(to, _mm512_cvtepi32_epi8(reinterpret_cast<__m512i>(value)));
#elif defined(__AVX2__)
  const auto lanes = reinterpret_cast<__m256i>(value);
  const __m128i words = _mm_packus_epi32(_mm256_castsi256_si128(lanes), _mm256_extracti128_si256(lanes, 1));
  store(to, _mm_cvtsi128_si64(_mm_packus_epi16(words, words)));
#else
  store(to, __builtin_convertvector(value, VByte));
#endif
}

template <int... Index>
struct Lanes {};
template <int Count, int... Index>
struct Range : Range<Count - 1, Count - 1, Index...> {};
template <int... Index>
struct Range<0, Index...> {
  using type = Lanes<Index...>;
};

// Exchanges the blocks of `Step` lanes beside the diagonal of two rows.
template <int Step, int... Lane>
inline void exchange(VFloat& a, VFloat& b, Lanes<Lane...>) {
#if defined(__clang__)
  const VFloat upper =
      __builtin_shufflevector(a, b, (Lane & Step ? kLanes + Lane - Step : Lane)...);
  b = __builtin_shufflevector(a, b, (Lane & Step ? kLanes + Lane : Lane + Step)...);
#else
  const VFloat upper =
      __builtin_shuffle(a, b, VInt{(Lane & Step ? kLanes + Lane - Step : Lane)...});
  b = __builtin_shuffle(a, b, VInt{(Lane & Step ? kLanes + Lane : Lane + Step)...});
#endif
  a = upper;
}

template <int Step = kLanes / 2>
inline void transpose(VFloat* rows) {
  for (int i = 0; i < kLanes; ++i)
    if (!(i & Step)) exchange<Step>(rows[i], rows[i + Step], typename Range<kLanes>::type{});
  if constexpr (Step > 1) transpose<Step / 2>(rows);
}

void down(const uint8_t* rows, ptrdiff_t stride, const float* weights, int taps, int count,
          float* line) {
  int i = 0;
  for (; i + kUnroll * kLanes <= count; i += kUnroll * kLanes) {
    VFloat sums[kUnroll] = {};
    for (int k = 0; k < taps; ++k)
      for (int u = 0; u < kUnroll; ++u)
        sums[u] += weights[k] * load_bytes(rows + k * stride + i + u * kLanes);
    store(line + i, sums);
  }
  for (; i < count; ++i) {
    float sum = 0;
    for (int k = 0; k < taps; ++k) sum += weights[k] * float(rows[k * stride + i]);
    line[i] = sum;
  }
}

void across(const float* lines, int size, const int32_t* first, const float* weights, int taps,
            int height, int width, float* scratch, uint8_t* out, ptrdiff_t stride) {
  for (int i = 0; i < size; i += kLanes) {
    VFloat block[kLanes];
    for (int r = 0; r < kLanes; ++r) block[r] = load<VFloat>(lines + r * size + i);
    transpose(block);
    store(scratch + i * kLanes, block);
  }
  for (int x = 0; x < width; x += kLanes) {
    const int pixels = width - x < kLanes ? width - x : kLanes;
    VFloat sums[3 * kLanes] = {};
    for (int p = 0; p < pixels; ++p) {
      const float* from = scratch + 3 * kLanes * first[x + p];
      const float* weight = weights + ptrdiff_t(x + p) * taps;
      VFloat red = {}, green = {}, blue = {};
      for (int k = 0; k < taps; ++k, from += 3 * kLanes) {
        red += weight[k] * load<VFloat>(from);
        green += weight[k] * load<VFloat>(from + kLanes);
        blue += weight[k] * load<VFloat>(from + 2 * kLanes);
      }
      sums[3 * p] = red;
      sums[3 * p + 1] = green;
      sums[3 * p + 2] = blue;
    }
    for (int part = 0; part < 3; ++part) {
      VFloat* block = sums + part * kLanes;
      const int left = 3 * pixels - part * kLanes, count = left < kLanes ? left : kLanes;
      transpose(block);
      for (int r = 0; r < height && count > 0; ++r) {
        VFloat value = block[r] + 0.5f;
        value = value > 0.0f ? value : VFloat{};
        value = value < 255.0f ? value : 255.0f - VFloat{};
        const VInt whole = __builtin_convertvector(value, VInt);
        uint8_t* to = out + r * stride + 3 * x + part * kLanes;
        if (count == kLanes)
          store_bytes(to, whole);
        else
          for (int i = 0; i < count; ++i) to[i] = uint8_t(whole[i]);
      }
    }
  }
}

}  // namespace

extern const ResizeRows resize_rows = {kLanes, down, across};

}  // namespace mas::MAS_ISA
