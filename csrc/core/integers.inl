// Products of the levels of int8 and int4 weights with the integers of rows, on x86 and on any
// other processor without a file of its own. Included by linear.inl.
//
// A row's integers are two planes of signed bytes for VNNI, else 16-bit integers in pairs (0, 2),
// (1, 3).

#if defined(__AVX512VNNI__)
constexpr int kIntegerBytes = 1;  // from one integer of a row to the next
#else
constexpr int kIntegerBytes = 2;
#endif

// The integers of one group of a row.
inline void store_integers(const PreparedRows& rows, int row, int group,
                           const int32_t (&integers)[kGroup]) {
#if defined(__AVX512VNNI__)
  char* const highs =
      rows.tile ? rows.tiled(row, group) : rows.row(row) + group * kGroup * kIntegerBytes;
  char* const lows = rows.tile ? highs + kGroup : highs + rows.padded();
  for (int k = 0; k < kGroup; ++k) {
    const int32_t high = (integers[k] + 128) >> 8;
    highs[k] = char(int8_t(high));
    lows[k] = char(int8_t(integers[k] - 256 * high));
  }
#else
  auto* to = reinterpret_cast<int16_t*>(rows.row(row)) + group * kGroup;
  for (int k = 0; k < kGroup; k += 4) {
    to[k] = int16_t(integers[k]);
    to[k + 1] = int16_t(integers[k + 2]);
    to[k + 2] = int16_t(integers[k + 1]);
    to[k + 3] = int16_t(integers[k + 3]);
  }
#endif
}

// int4: the levels plus 128 of indices, one in each byte.
inline VWord levels_of(VWord indices) {
  alignas(64) static constexpr auto kTable = [] {
    struct {
      uint8_t of[sizeof(VWord)];
    } table{};
    for (size_t i = 0; i < sizeof table.of; ++i) table.of[i] = uint8_t(kInt4Levels[i % 16] + 128);
    return table;
  }();
#if defined(__AVX512BW__)
  return reinterpret_cast<VWord>(
      _mm512_shuffle_epi8(load<__m512i>(&kTable), reinterpret_cast<__m512i>(indices)));
#elif defined(__AVX2__)
  return reinterpret_cast<VWord>(
      _mm256_shuffle_epi8(load<__m256i>(&kTable), reinterpret_cast<__m256i>(indices)));
#else
  uint8_t bytes[sizeof(VWord)];
  store(bytes, indices);
  for (uint8_t& byte : bytes) byte = kTable.of[byte];
  return load<VWord>(bytes);
#endif
}

// One part of a step of int8 or int4: its bytes, the levels plus 128.
template <DType TYPE>
inline VWord step_bytes(const char* weights, int stride, int step, int part) {
  if constexpr (TYPE == DType::int8)
    return load<VWord>(weights + step * stride + part * sizeof(VWord));
  const VWord two = load<VWord>(weights + step / 2 * stride + part * sizeof(VWord));
  return levels_of((step % 2 ? two >> 4 : two) & 0x0f0f0f0fu);
}

// The integers of rows times the bytes of `steps` (at most 8) steps; exact, so the order does not
// matter.
template <DType TYPE, int ROWS, class Stride>
inline void sum_group(const char* weights, Stride stride, ptrdiff_t ahead,
                      const char* const (&x)[ROWS], int plane, int first, int steps,
                      const int32_t (&offset)[ROWS], VInt (&sums)[ROWS][kParts]) {
  for (int row = 0; row < ROWS; ++row)
    for (int part = 0; part < kParts; ++part) sums[row][part] = splat(offset[row]);
#if defined(__AVX512VNNI__)
  VInt high[ROWS][kParts] = {};
#pragma GCC unroll 8
  for (int step = 0; step < steps; ++step) {
    fetch_step<TYPE>(weights + ahead, stride, step);
    for (int part = 0; part < kParts; ++part) {
      const auto w = reinterpret_cast<__m512i>(step_bytes<TYPE>(weights, stride, step, part));
      for (int row = 0; row < ROWS; ++row) {
        const char* at = x[row] + 4 * (first + step);
        const __m512i h = _mm512_set1_epi32(load<int32_t>(at)),
                      l = _mm512_set1_epi32(load<int32_t>(at + plane));
        high[row][part] = VInt(_mm512_dpbusd_epi32(__m512i(high[row][part]), w, h));
        sums[row][part] = VInt(_mm512_dpbusd_epi32(__m512i(sums[row][part]), w, l));
      }
    }
  }
  for (int row = 0; row < ROWS; ++row)
    for (int part = 0; part < kParts; ++part) sums[row][part] += high[row][part] << 8;
#else
  (void)plane;
  for (int step = 0; step < steps; ++step) {
    fetch_step<TYPE>(weights + ahead, stride, step);
    for (int part = 0; part < kParts; ++part) {
      const VWord w = step_bytes<TYPE>(weights, stride, step, part);
      const VWord even = w & 0x00ff00ffu, odd = w >> 8 & 0x00ff00ffu;
      for (int row = 0; row < ROWS; ++row) {
        const char* at = x[row] + 8 * (first + step);
        sums[row][part] += multiply_halves(even, load<uint32_t>(at)) +
                           multiply_halves(odd, load<uint32_t>(at + 4));
      }
    }
  }
#endif
}
