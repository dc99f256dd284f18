// exp and log in fp64 as fixed sequences of IEEE additions, multiplications, divisions and bit
// operations: no fma and no libm. PyTorch (ops/reference/sampling.py mirrors them line by line),
// every instruction set and CUDA therefore give the same bits, as long as the compiler does not
// contract a * b + c (-ffp-contract=off, nvcc --fmad=false). The formulas and their constants are
// fdlibm's; the error is below 1 ulp. Everything is branch-free, so that loops over them vectorise.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace mas {

MAS_HOST_DEVICE int32_t bits_of(float x) { return __builtin_bit_cast(int32_t, x); }
MAS_HOST_DEVICE int64_t bits_of(double x) { return __builtin_bit_cast(int64_t, x); }
MAS_HOST_DEVICE float float_of(int32_t bits) { return __builtin_bit_cast(float, bits); }
MAS_HOST_DEVICE double double_of(int64_t bits) { return __builtin_bit_cast(double, bits); }

// Integers in the order of the floats (no NaN, no -0.0). Integer maxima vectorise; float maxima
// would need -ffast-math. ordered_float undoes ordered(float).
MAS_HOST_DEVICE int32_t ordered(float x) {
  const int32_t b = bits_of(x);
  return b ^ ((b >> 31) & 0x7fffffff);
}
MAS_HOST_DEVICE int64_t ordered(double x) {
  const int64_t b = bits_of(x);
  return b ^ ((b >> 63) & 0x7fffffffffffffff);
}
MAS_HOST_DEVICE float ordered_float(int32_t key) {
  return float_of(key ^ ((key >> 31) & 0x7fffffff));
}

// Adding and subtracting this rounds |x| < 2^51 to the nearest integer, ties to even; before the
// subtraction, the low bits of the sum hold that integer.
constexpr double kRound = 0x1.8p52;
constexpr double kLn2High = 0x1.62e42feep-1;  // 33 bits: k * kLn2High is exact
constexpr double kLn2Low = 0x1.a39ef35793c76p-33;

// exp(x) for x <= 709, -inf included. Below -708 the result is 0, so there are no denormals.
MAS_HOST_DEVICE double exact_exp(double x) {
  const double clamped = x < -708.0 ? -708.0 : x;
  const double shifted = clamped * 0x1.71547652b82fep+0 + kRound;
  const double k = shifted - kRound;
  const double high = clamped - k * kLn2High;
  const double low = k * kLn2Low;
  const double r = high - low;
  const double z = r * r;
  double p = 0x1.6376972bea4d0p-25;
  p = p * z + -0x1.bbd41c5d26bf1p-20;
  p = p * z + 0x1.1566aaf25de2cp-14;
  p = p * z + -0x1.6c16c16bebd93p-9;
  p = p * z + 0x1.555555555553ep-3;
  const double c = r - z * p;
  const double y = 1.0 + (r * c / (2.0 - c) - low + high);
  const int64_t scale = (bits_of(shifted) - bits_of(kRound) + 1023) << 52;
  return y * double_of(x < -708.0 ? 0 : scale);
}

// log(x) for positive normal x.
MAS_HOST_DEVICE double exact_log(double x) {
  constexpr int64_t kSqrtHalf = 0x3fe6a09e00000000, kOne = 0x3ff0000000000000;
  const int64_t b = bits_of(x) + (kOne - kSqrtHalf);
  const double k = double_of((b >> 52) + 0x4330000000000000) - (0x1p52 + 1023.0);
  const double f = double_of((b & 0x000fffffffffffff) + kSqrtHalf) - 1.0;
  const double s = f / (2.0 + f);
  const double z = s * s;
  double p = 0x1.2f112df3e5244p-3;
  p = p * z + 0x1.39a09d078c69fp-3;
  p = p * z + 0x1.7466496cb03dep-3;
  p = p * z + 0x1.c71c51d8e78afp-3;
  p = p * z + 0x1.2492494229359p-2;
  p = p * z + 0x1.999999997fa04p-2;
  p = p * z + 0x1.5555555555593p-1;
  const double half_square = 0.5 * f * f;
  return k * kLn2High + (f - (half_square - (s * (half_square + z * p) + k * kLn2Low)));
}

// The largest weight of a token: top-p adds weights as integers in units of 2^-40.
constexpr double kWeightOne = 0x1p40;

// rint(exp(logit - max) * 2^40), an integer held in fp64. Equality is tested first, because
// inf - inf is NaN.
MAS_HOST_DEVICE double top_p_weight(float logit, float max) {
  const double scaled =
      exact_exp(static_cast<double>(logit) - static_cast<double>(max)) * kWeightOne;
  const double weight = (scaled + kRound) - kRound;
  return double_of(logit == max ? bits_of(kWeightOne) : bits_of(weight));
}

// Standard Gumbel noise -log(-log u), u = (random + 1/2) 2^-32, which is never 0 or 1.
MAS_HOST_DEVICE double gumbel(uint32_t random) {
  const double u = (static_cast<double>(random) + 0.5) * 0x1p-32;
  return -exact_log(-exact_log(u));
}

}  // namespace mas
