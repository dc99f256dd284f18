#include "isa.h"

#if defined(__APPLE__)
#include <sys/sysctl.h>
#elif defined(__linux__)
#include <sys/auxv.h>
#endif

namespace mas {

namespace {

struct Features {
  bool dotprod = false, i8mm = false, bf16 = false;
};

#if defined(__APPLE__)
bool has(const char* name) {
  int value = 0;
  size_t size = sizeof value;
  return sysctlbyname(name, &value, &size, nullptr, 0) == 0 && value != 0;
}
Features find_features() {
  return {has("hw.optional.arm.FEAT_DotProd"), has("hw.optional.arm.FEAT_I8MM"),
          has("hw.optional.arm.FEAT_BF16")};
}
#elif defined(__linux__)
Features find_features() {
  // Of asm/hwcap.h, which lacks the newer ones on older systems.
  constexpr unsigned long kDotProd = 1ul << 20, kI8mm = 1ul << 13, kBf16 = 1ul << 14;
  const unsigned long first = getauxval(AT_HWCAP), second = getauxval(AT_HWCAP2);
  return {(first & kDotProd) != 0, (second & kI8mm) != 0, (second & kBf16) != 0};
}
#else
Features find_features() { return {}; }
#endif

}  // namespace

bool runs_here(Isa isa) {
  static const Features features = find_features();
  switch (isa) {
    case Isa::generic:
    case Isa::neon:
      return true;
    case Isa::neon_dotprod:
      return features.dotprod;
    case Isa::neon_i8mm:
      return features.dotprod && features.i8mm && features.bf16;
    default:
      return false;
  }
}

}  // namespace mas
