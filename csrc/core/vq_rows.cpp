// Compiled once per instruction set with -DMAS_ISA=<level>. As in kernels.cpp, nothing here may
// call an inline function or template of another header that is not MAS_INLINE.
//
// Why products of bytes can decide: let y be a row and e a code, both minus the centre, which does
// not change distances, and y = Q + R, e = q + r with Q, q the quantized vectors. Then
//   |y . e - Q . q| = |Q . r + R . e| <= |Q| |r| + |R| |e|,
// and Q . q is an exact integer times two scales. So every score is known within
//   bound = |Q| (|r| + rho |e|),  rho the largest |R| / |Q| of the rows of a tile,
// which is proven, because lengths are measured in fp64 and rounded up. It includes the rounding of
// the fp64 distances themselves, which decides far from all codes. A code whose score is certainly
// above that of another is not the nearest; those that remain, about ten of 16,384 for normal data,
// are compared in fp64.
#include "vq_rows.h"

#if defined(__SSE2__)
#include <immintrin.h>
#elif defined(MAS_NEON)
#include <arm_neon.h>
#endif

namespace mas::MAS_ISA {
namespace {

#include "vec.inl"

#if defined(__AVX512F__)
constexpr int kVectors = 4, kRows = 6;  // codes of 4 vectors against 6 rows: 24 accumulators
#elif defined(__AVX2__)
constexpr int kVectors = 2, kRows = 4;
#elif defined(MAS_NEON)
constexpr int kVectors = 4, kRows = 6;
#else
constexpr int kVectors = 2, kRows = 2;
#endif
#if defined(__AVX512VNNI__) || defined(MAS_NEON)
constexpr int kRowStep = 4;  // bytes of a row's step: int8_t[4]
#else
constexpr int kRowStep = 8;  // int16_t[4]: channels 0, 2, 1, 3
#endif
#if !defined(MAS_NEON)
constexpr int kBias = 128;  // of the codes' bytes in products
#endif
constexpr int kGroupCodes = kVectors * kLanes;
static_assert(kVqPanel % kGroupCodes == 0 && kVqTile % kRows == 0);

constexpr float kInfinity = __builtin_inff();
constexpr float kSlack = 0x1p-18f;  // far above all roundings of the few fp32 operations here
constexpr float kTiny = 0x1p-120f;  // above all that may be lost to underflow
constexpr float kLong = 0x1p60f;    // products of two such lengths are far from overflow
constexpr float kNaN = __builtin_nanf("");
constexpr float kRounding = 0x1p-51f;  // of a distance in fp64, for each channel
constexpr double kUp = 1 + 0x1p-20;    // makes what is rounded to fp32 an upper bound

using VDouble = double __attribute__((vector_size(64)));
using VFloat8 = float __attribute__((vector_size(32)));

inline double sum(VDouble value) {
  double lanes[8];
  store(lanes, value);
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) +
         ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}
inline double largest(VDouble value) {
  double lanes[8];
  store(lanes, value);
  for (int lane = 1; lane < 8; ++lane) lanes[0] = lanes[lane] > lanes[0] ? lanes[lane] : lanes[0];
  return lanes[0];
}

// Eight channels from `first` on; zeros beyond the last.
inline VDouble load_channels(const float* x, int first, int channels) {
  VFloat8 value = {};
  if (channels - first >= 8)
    value = load<VFloat8>(x + first);
  else
    __builtin_memcpy(&value, x + first, sizeof(float) * (channels - first));
  return __builtin_convertvector(value, VDouble);
}

// A vector in bytes: centred[i] becomes the integer nearest to centred[i] / scale, in -127..127.
struct Quantized {
  float scale;
  double square;     // of the vector itself; not finite when it is not
  double quantized;  // of scale * integers
  double residue;    // of the difference
};

inline Quantized quantize(const VqCodes& codes, const float* x, double* centred) {
  VDouble square = {}, most = {};
  for (int i = 0; i < codes.channels; i += 8) {
    const VDouble value = load_channels(x, i, codes.channels) - load<VDouble>(codes.centre + i);
    const VDouble size = value < 0.0 ? -value : value;
    square += value * value;
    most = size > most ? size : most;
    store(centred + i, value);
  }
  Quantized result{float(largest(most) / 127), sum(square), 0, 0};
  if (!(result.scale > kTiny) || !(result.square < __builtin_inf())) result.scale = 0;
  const double scale = result.scale, inverse = scale > 0 ? 1 / scale : 0;
  constexpr double kRoundDouble = 0x1.8p52;
  VDouble quantized = {}, residue = {};
  for (int i = 0; i < codes.channels; i += 8) {
    const VDouble value = load<VDouble>(centred + i);
    VDouble level = {};
    if (scale > 0) level = (value * inverse + kRoundDouble) - kRoundDouble;
    level = level > 127.0 ? 127.0 - VDouble{} : level < -127.0 ? -127.0 - VDouble{} : level;
    const VDouble near = level * scale, error = value - near;
    quantized += near * near;
    residue += error * error;
    store(centred + i, level);
  }
  result.quantized = sum(quantized);
  result.residue = sum(residue);
  return result;
}

// The square root, rounded up to fp32.
inline float root_up(double square) { return float(__builtin_sqrt(square) * kUp) + 0x1p-126f; }

bool pack(const VqCodes& codes, int index, double* scratch) {
  VqPanel& panel = codes.panels[index];
  char* bytes = codes.bytes + index * codes.panel_bytes();
  bool finite = true;
  for (int lane = 0; lane < kVqPanel; ++lane) {
    const int code = index * kVqPanel + lane;
    const bool inside = code < codes.count;
    Quantized q{0, 0, 0, 0};
    if (inside) q = quantize(codes, codes.codes + size_t(code) * codes.channels, scratch);
    finite &= q.square < __builtin_inf();
    const float length = root_up(q.square);
    panel.half_square[lane] = !inside          ? kInfinity
                              : length > kLong ? kNaN  // always a candidate
                                               : float(q.square / 2 * (1 - kSlack)) - kTiny;
    panel.scale[lane] = q.scale;
    panel.residue[lane] = root_up(q.residue) + kSlack * length + kTiny;
    panel.length[lane] = length;
    for (int step = 0; step < codes.steps(); ++step) {
      uint8_t four[4];
      for (int i = 0; i < 4; ++i) {
        const bool known = inside && 4 * step + i < codes.channels && q.scale > 0;
        four[i] = uint8_t(known ? int(scratch[4 * step + i]) + 128 : 128);
      }
      __builtin_memcpy(bytes + step * kVqStepBytes + 4 * lane, four, 4);
    }
  }
  return finite;
}

// One row of a tile: its quantized form, and the codes that may be its nearest.
struct Row {
  float scale, length;  // of Q
  float best;           // no score above this can be the least
  int32_t start;        // -kBias times the sum of its integers
  int count;
  int32_t id[kVqCandidates];
  float least[kVqCandidates];  // a lower bound of the score

  inline void drop() {  // what is above `best` by now
    int kept = 0;
    for (int i = 0; i < count; ++i) {
      id[kept] = id[i];
      least[kept] = least[i];
      kept += !(least[i] > best);
    }
    count = kept;
  }
};

inline double distance(const float* x, const float* code, int channels) {
  VDouble sums[2] = {};
  int i = 0;
  for (; i + 16 <= channels; i += 16)
    for (int half = 0; half < 2; ++half) {
      const VDouble difference =
          load_channels(x, i + 8 * half, channels) - load_channels(code, i + 8 * half, channels);
      sums[half] += difference * difference;
    }
  for (; i < channels; i += 8) {
    const VDouble difference = load_channels(x, i, channels) - load_channels(code, i, channels);
    sums[0] += difference * difference;
  }
  return sum(sums[0] + sums[1]);
}

// The nearest of a row's candidates. Sums of squares in different orders are within 2^-36 of each
// other, so the order matters only for candidates that are that close.
void settle(const VqCodes& codes, const float* x, Row& row) {
  double distances[kVqCandidates], least = __builtin_inf();
  for (int i = 0; i < row.count; ++i) {
    distances[i] = distance(x, codes.codes + size_t(row.id[i]) * codes.channels, codes.channels);
    least = distances[i] < least ? distances[i] : least;
  }
  int32_t near[kVqCandidates];
  int count = 0;
  for (int i = 0; i < row.count; ++i)
    if (distances[i] <= least * (1 + 0x1p-34)) near[count++] = row.id[i];
  const int32_t nearest = count == 1 ? near[0] : vq_nearest_of(codes, x, near, count);
  int kept = 0;
  while (row.id[kept] != nearest) ++kept;
  row.id[0] = nearest;
  row.least[0] = row.least[kept];
  row.count = 1;
}

// Bit i is set if lane i is not above `bound`, or is NaN.
inline uint64_t not_above(VFloat value, float bound) {
#if defined(__AVX512F__)
  return _mm512_cmp_ps_mask(__m512(value), _mm512_set1_ps(bound), _CMP_NGT_UQ);
#elif defined(__AVX2__)
  return uint32_t(
      _mm256_movemask_ps(_mm256_cmp_ps(__m256(value), _mm256_set1_ps(bound), _CMP_NGT_UQ)));
#elif defined(MAS_NEON)
  const VWord bit = {1, 2, 4, 8};
  const uint32x4_t above = vcgtq_f32(float32x4_t(value), vdupq_n_f32(bound));
  return vaddvq_u32(vbicq_u32(uint32x4_t(bit), above));
#else
  uint64_t bits = 0;
  for (int lane = 0; lane < kLanes; ++lane) bits |= uint64_t(!(value[lane] > bound)) << lane;
  return bits;
#endif
}

// Quantizes row `index` of a tile. False when the row is not finite: then it has no candidates.
inline bool prepare(const VqCodes& codes, const float* x, double* centred, Row& row, char* bytes,
                    float* rho, float* longest) {
  const Quantized q = quantize(codes, x, centred);
  const bool finite = q.square < __builtin_inf();
  const float residue = root_up(q.residue);
  const float length = root_up(q.quantized);
  row.count = 0;
  row.start = 0;
  row.scale = finite ? q.scale : 0;
  row.best = finite ? kInfinity : -kInfinity;
  row.length = length > 16 * residue ? length : 16 * residue;
  if (!(row.length < kLong)) row.length = kNaN;  // every code is a candidate
  const float ratio = residue / row.length;
  *rho = ratio > *rho ? ratio : *rho;
  *longest = row.length > *longest ? row.length : *longest;
  for (int step = 0; step < codes.steps(); ++step) {
    int level[4];
    for (int i = 0; i < 4; ++i) {
      level[i] = 4 * step + i < codes.channels && row.scale > 0 ? int(centred[4 * step + i]) : 0;
      row.start -= kBias * level[i];
    }
    if constexpr (kRowStep == 4) {
      const int8_t four[] = {int8_t(level[0]), int8_t(level[1]), int8_t(level[2]),
                             int8_t(level[3])};
      __builtin_memcpy(bytes + kRowStep * step, four, kRowStep);
    } else {
      const int16_t four[] = {int16_t(level[0]), int16_t(level[2]), int16_t(level[1]),
                              int16_t(level[3])};
      __builtin_memcpy(bytes + kRowStep * step, four, kRowStep);
    }
  }
  return finite;
}

// The integers of kRows rows against the bytes of kGroupCodes codes.
inline void dots(const char* codes, const char* const (&x)[kRows], int steps,
                 VInt (&sums)[kRows][kVectors]) {
  for (int step = 0; step < steps; ++step) {
#if defined(MAS_NEON)
    uint8x16_t w[kVectors];
    for (int v = 0; v < kVectors; ++v) w[v] = load_levels(codes + step * kVqStepBytes + v * 16);
    for (int row = 0; row < kRows; ++row) {
      const auto four = int8x16_t(splat(load<int32_t>(x[row] + kRowStep * step)));
      for (int v = 0; v < kVectors; ++v) sums[row][v] = add_products(sums[row][v], w[v], four);
    }
#else
    VWord w[kVectors];
    for (int v = 0; v < kVectors; ++v)
      w[v] = load<VWord>(codes + step * kVqStepBytes + v * sizeof(VWord));
#if defined(__AVX512VNNI__)
    for (int row = 0; row < kRows; ++row) {
      const __m512i four = _mm512_set1_epi32(load<int32_t>(x[row] + kRowStep * step));
      for (int v = 0; v < kVectors; ++v)
        sums[row][v] = VInt(_mm512_dpbusd_epi32(__m512i(sums[row][v]), __m512i(w[v]), four));
    }
#else
    for (int v = 0; v < kVectors; ++v) {
      const VWord even = w[v] & 0x00ff00ffu, odd = w[v] >> 8 & 0x00ff00ffu;
      for (int row = 0; row < kRows; ++row) {
        const char* at = x[row] + kRowStep * step;
        sums[row][v] += multiply_halves(even, load<uint32_t>(at)) +
                        multiply_halves(odd, load<uint32_t>(at + 4));
      }
    }
#endif
#endif
  }
}

// Codes of a group whose score may be the least of a row: bit i of `mask` for first + i.
[[gnu::noinline]] void remember(const VqCodes& codes, const float* x, Row& row, uint64_t mask,
                                int first, const float* least, const float* width,
                                const float* half_square) {
  for (uint64_t left = mask; left; left &= left - 1) {
    const int lane = __builtin_ctzll(left);
    const float most =
        least[lane] + (2 * row.length * width[lane] + 2 * kSlack * half_square[lane]) + 4 * kTiny;
    if (most < row.best) row.best = most;
  }
  if (row.count + kGroupCodes > kVqCandidates) row.drop();
  if (row.count + kGroupCodes > kVqCandidates) settle(codes, x, row);
  for (uint64_t left = mask; left; left &= left - 1) {
    const int lane = __builtin_ctzll(left);
    if (least[lane] > row.best || first + lane >= codes.count) continue;
    row.id[row.count] = first + lane;
    row.least[row.count++] = least[lane];
  }
}

size_t row_bytes(int channels) { return size_t(round_up(channels, 4)) / 4 * kRowStep; }

size_t scratch_bytes(int channels) {
  return kVqTile * (sizeof(Row) + row_bytes(channels)) + sizeof(double) * round_up(channels, 8);
}

void nearest(const VqCodes& codes, const float* x, int rows, char* scratch, int64_t* out) {
  auto* centred = reinterpret_cast<double*>(scratch);
  auto* row = reinterpret_cast<Row*>(centred + codes.padded());
  char* bytes = reinterpret_cast<char*>(row + kVqTile);
  const size_t stride = row_bytes(codes.channels);
  const int padded = round_up(rows, kRows);
  float rho = 0, longest = 0;
  for (int i = 0; i < padded; ++i) {
    if (i < rows) {
      out[i] = prepare(codes, x + size_t(i) * codes.channels, centred, row[i], bytes + i * stride,
                       &rho, &longest)
                   ? 0
                   : -1;
    } else {  // padding of the last group of rows: no score is low enough
      __builtin_memset(bytes + i * stride, 0, stride);
      row[i].scale = row[i].length = 0;
      row[i].start = row[i].count = 0;
      row[i].best = -kInfinity;
    }
  }
  const float common = kRounding * (codes.channels + 4) * longest;
  const int panels = ceil_div(codes.count, kVqPanel);
  for (int index = 0; index < panels; ++index) {
    const VqPanel& panel = codes.panels[index];
    const char* data = codes.bytes + index * codes.panel_bytes();
    for (int group = 0; group < kVqPanel; group += kGroupCodes) {
      float width[kGroupCodes];
      for (int lane = 0; lane < kGroupCodes; ++lane)
        width[lane] = panel.residue[group + lane] + rho * panel.length[group + lane] + common;
      for (int first = 0; first < padded; first += kRows) {
        const char* at[kRows];
        VInt sums[kRows][kVectors];
        for (int r = 0; r < kRows; ++r) {
          at[r] = bytes + (first + r) * stride;
          for (int v = 0; v < kVectors; ++v) sums[r][v] = splat(row[first + r].start);
        }
        dots(data + 4 * group, at, codes.steps(), sums);
        for (int r = 0; r < kRows; ++r) {
          Row& one = row[first + r];
          VFloat least[kVectors];
          uint64_t mask = 0;
          for (int v = 0; v < kVectors; ++v) {
            const int lane = group + v * kLanes;
            least[v] = load<VFloat>(panel.half_square + lane) -
                       to_float(sums[r][v]) * load<VFloat>(panel.scale + lane) * one.scale -
                       load<VFloat>(width + v * kLanes) * one.length;
            mask |= not_above(least[v], one.best) << (v * kLanes);
          }
          if (mask == 0 || one.best == -kInfinity) [[likely]]
            continue;
          float lanes[kGroupCodes];
          for (int v = 0; v < kVectors; ++v) store(lanes + v * kLanes, least[v]);
          remember(codes, x + size_t(first + r) * codes.channels, one, mask,
                   index * kVqPanel + group, lanes, width, panel.half_square + group);
        }
      }
    }
  }
  for (int i = 0; i < rows; ++i) {
    if (out[i] < 0) continue;
    row[i].drop();
    if (row[i].count > 1) settle(codes, x + size_t(i) * codes.channels, row[i]);
    out[i] = row[i].id[0];
  }
}

}  // namespace

extern const VqRows vq_rows = {pack, scratch_bytes, nearest};

}  // namespace mas::MAS_ISA
