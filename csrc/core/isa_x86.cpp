#include "isa.h"

#if defined(MAS_FAST_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace mas {

namespace {

// Whether there are tiles for bytes and bfloat16, and Linux lets this process use them, which it
// must be asked for. Not every compiler's __builtin_cpu_supports() knows them.
bool has_tiles() {
#if defined(MAS_FAST_AMX)
  constexpr unsigned kBf16 = 1u << 22, kTiles = 1u << 24, kInt8 = 1u << 25,
                     kNeeded = kBf16 | kTiles | kInt8;
  unsigned a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (d & kNeeded) != kNeeded) return false;
  constexpr int kRequest = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
  return syscall(SYS_arch_prctl, kRequest, kTileData) == 0;
#else
  return false;
#endif
}

}  // namespace

bool runs_here(Isa isa) {
  __builtin_cpu_init();
  switch (isa) {
    case Isa::generic:
      return true;
    case Isa::avx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
             __builtin_cpu_supports("f16c");
    case Isa::avx512:
      return runs_here(Isa::avx2) && __builtin_cpu_supports("avx512f") &&
             __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vl");
    case Isa::avx512_vnni:
      return runs_here(Isa::avx512) && __builtin_cpu_supports("avx512vnni");
    case Isa::avx512_bf16:
      return runs_here(Isa::avx512_vnni) && __builtin_cpu_supports("avx512bf16");
    case Isa::amx:
      return runs_here(Isa::avx512_bf16) && has_tiles();
    default:
      return false;
  }
}

}  // namespace mas
