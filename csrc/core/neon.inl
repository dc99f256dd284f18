// Dot products of bytes by NEON. Included by vec.inl.

// Bytes are levels plus kBias for the dot products: USDOT and USMMLA take one operand unsigned, all
// that came before them both signed.
#if defined(__ARM_FEATURE_MATMUL_INT8)
constexpr int kBias = 128;
#else
constexpr int kBias = 0;
#endif

// Sixteen stored bytes, which are levels plus 128, with the bias of the dot products.
inline uint8x16_t load_levels(const char* from) {
  const auto bytes = load<uint8x16_t>(from);
  return kBias ? bytes : veorq_u8(bytes, vdupq_n_u8(128));
}

// Lane by lane sum + the four bytes of `levels` times the four signed ones of `x`.
inline VInt add_products(VInt sum, uint8x16_t levels, int8x16_t x) {
#if defined(__ARM_FEATURE_MATMUL_INT8)
  return VInt(vusdotq_s32(int32x4_t(sum), levels, x));
#elif defined(__ARM_FEATURE_DOTPROD)
  return VInt(vdotq_s32(int32x4_t(sum), vreinterpretq_s8_u8(levels), x));
#else
  const int8x16_t w = vreinterpretq_s8_u8(levels);
  const int16x8_t low = vmull_s8(vget_low_s8(w), vget_low_s8(x)), high = vmull_high_s8(w, x);
  return sum + VInt(vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)));
#endif
}
