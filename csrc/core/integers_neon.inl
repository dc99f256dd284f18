// Products of the levels of int8 and int4 weights with the integers of rows, by NEON. Included by
// linear.inl.
//
// The 32 integers of a group are
//   neon          int16_t [32]
//   neon_dotprod  int8_t [2][32]: high bytes and low bytes, both signed
//   neon_i8mm     int8_t [4][2][8]: the same for each 8 inputs, a matrix that USMMLA multiplies by
//                 two outputs

constexpr int kIntegerBytes = 2;  // from one integer of a row to the next

#if defined(__ARM_FEATURE_MATMUL_INT8)
constexpr int kRun = 8;  // high bytes in a row
#else
constexpr int kRun = kGroup;
#endif

// The integers of one group of a row.
inline void store_integers(const PreparedRows& rows, int row, int group,
                           const int32_t (&integers)[kGroup]) {
  char* const to = rows.row(row) + group * kGroup * kIntegerBytes;
#if defined(__ARM_FEATURE_DOTPROD)
  int8_t highs[kGroup], lows[kGroup];
  for (int k = 0; k < kGroup; ++k) {
    const int32_t high = (integers[k] + 128) >> 8;
    highs[k] = int8_t(high);
    lows[k] = int8_t(integers[k] - 256 * high);
  }
  for (int first = 0; first < kGroup; first += kRun) {
    __builtin_memcpy(to + 2 * first, highs + first, kRun);
    __builtin_memcpy(to + 2 * first + kRun, lows + first, kRun);
  }
#else
  for (int k = 0; k < kGroup; ++k) store(to + 2 * k, int16_t(integers[k]));
#endif
}

// One part of a step of int8 or int4: its levels plus kBias.
template <DType TYPE>
inline uint8x16_t step_levels(const char* weights, int stride, int step, int part) {
  if constexpr (TYPE == DType::int8) return load_levels(weights + step * stride + part * 16);
  alignas(16) static constexpr auto kTable = [] {
    struct {
      uint8_t of[16];
    } table{};
    for (int i = 0; i < 16; ++i) table.of[i] = uint8_t(kInt4Levels[i] + kBias);
    return table;
  }();
  const auto two = load<uint8x16_t>(weights + step / 2 * stride + part * 16);
  return vqtbl1q_u8(load<uint8x16_t>(&kTable),
                    step % 2 ? vshrq_n_u8(two, 4) : vandq_u8(two, vdupq_n_u8(15)));
}

// Sums of one part of a group for one row; `add` takes two steps' levels, step AT and the next.
#if defined(__ARM_FEATURE_MATMUL_INT8)
struct GroupSums {
  int8x16_t x[4];
  int32x4_t of[2];  // of two outputs each: high, low, high, low

  inline void start(const char* row) {
    for (int i = 0; i < 4; ++i) x[i] = load<int8x16_t>(row + 16 * i);
  }
  inline void clear(int32_t offset) {
    const VInt lows = {0, offset, 0, offset};
    of[0] = of[1] = int32x4_t(lows);
  }
  template <int AT>
  inline void add(uint8x16_t first, uint8x16_t second) {
    const auto a = vreinterpretq_u32_u8(first), b = vreinterpretq_u32_u8(second);
    of[0] = vusmmlaq_s32(of[0], vreinterpretq_u8_u32(vzip1q_u32(a, b)), x[AT / 2]);
    of[1] = vusmmlaq_s32(of[1], vreinterpretq_u8_u32(vzip2q_u32(a, b)), x[AT / 2]);
  }
  inline VInt total() const {
    return VInt(vmlaq_n_s32(vuzp2q_s32(of[0], of[1]), vuzp1q_s32(of[0], of[1]), 256));
  }
};
#elif defined(__ARM_FEATURE_DOTPROD)
struct GroupSums {
  int8x16_t high_bytes[2], low_bytes[2];
  int32x4_t high, low;

  inline void start(const char* row) {
    for (int i = 0; i < 2; ++i) {
      high_bytes[i] = load<int8x16_t>(row + 16 * i);
      low_bytes[i] = load<int8x16_t>(row + kRun + 16 * i);
    }
  }
  inline void clear(int32_t) { high = low = vdupq_n_s32(0); }
  template <int AT>
  inline void add(uint8x16_t first, uint8x16_t second) {
    const auto a = vreinterpretq_s8_u8(first), b = vreinterpretq_s8_u8(second);
    high = vdotq_laneq_s32(high, a, high_bytes[AT / 4], AT % 4);
    low = vdotq_laneq_s32(low, a, low_bytes[AT / 4], AT % 4);
    high = vdotq_laneq_s32(high, b, high_bytes[AT / 4], AT % 4 + 1);
    low = vdotq_laneq_s32(low, b, low_bytes[AT / 4], AT % 4 + 1);
  }
  inline VInt total() const { return VInt(vmlaq_n_s32(low, high, 256)); }
};
#else
struct GroupSums {
  const char* row;
  int32x4_t of[4];  // each of one output: four inputs, in lanes

  inline void start(const char* from) { row = from; }
  inline void clear(int32_t) {
    for (int32x4_t& one : of) one = vdupq_n_s32(0);
  }
  inline void add_one(int step, uint8x16_t levels) {
    const int8x16_t w = vreinterpretq_s8_u8(levels);
    const int16x8_t a = vmovl_s8(vget_low_s8(w)), b = vmovl_high_s8(w);
    const int16x8_t x = vreinterpretq_s16_s64(vdupq_n_s64(load<int64_t>(row + 8 * step)));
    of[0] = vmlal_s16(of[0], vget_low_s16(a), vget_low_s16(x));
    of[1] = vmlal_high_s16(of[1], a, x);
    of[2] = vmlal_s16(of[2], vget_low_s16(b), vget_low_s16(x));
    of[3] = vmlal_high_s16(of[3], b, x);
  }
  template <int AT>
  inline void add(uint8x16_t first, uint8x16_t second) {
    add_one(AT, first);
    add_one(AT + 1, second);
  }
  inline VInt total() const {
    return VInt(vpaddq_s32(vpaddq_s32(of[0], of[1]), vpaddq_s32(of[2], of[3])));
  }
};
#endif

// The integers of rows times the levels of `steps` (at most 8) steps; exact, so the order does not
// matter. Past the last step integers are zeros, and any levels do: those of the last step.
template <DType TYPE, int ROWS, class Stride>
inline void sum_group(const char* weights, Stride stride, ptrdiff_t ahead,
                      const char* const (&x)[ROWS], int, int first, int steps,
                      const int32_t (&offset)[ROWS], VInt (&sums)[ROWS][kParts]) {
  for (int step = 0; step < steps; ++step) fetch_step<TYPE>(weights + ahead, stride, step);
  GroupSums group[ROWS];
  for (int row = 0; row < ROWS; ++row) group[row].start(x[row] + 4 * kIntegerBytes * first);
  for (int part = 0; part < kParts; ++part) {
    for (int row = 0; row < ROWS; ++row) group[row].clear(offset[row]);
    const auto levels = [&](int step) {
      return step_levels<TYPE>(weights, stride, step < steps ? step : steps - 1, part);
    };
    const auto add = [&](auto at) {
      constexpr int kAt = decltype(at)::value;
      const uint8x16_t one = levels(kAt), two = levels(kAt + 1);
      for (int row = 0; row < ROWS; ++row) group[row].template add<kAt>(one, two);
    };
    add(Size<0>{});
    add(Size<2>{});
    add(Size<4>{});
    add(Size<6>{});
    for (int row = 0; row < ROWS; ++row) sums[row][part] = group[row].total();
  }
}
