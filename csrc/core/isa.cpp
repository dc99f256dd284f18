#include "isa.h"

#if defined(MAS_FAST_AMX)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <stdexcept>

namespace mas {

namespace {

constexpr Isa kAll[] = {Isa::generic,     Isa::avx2,        Isa::avx512,
                        Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx};

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

bool runs_here(Isa isa) {
#if defined(__x86_64__)
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
  }
  return false;
#else
  return isa == Isa::generic;
#endif
}

std::string names(const std::vector<Isa>& isas) {
  std::string text;
  for (Isa isa : isas) text += (text.empty() ? "" : ", ") + std::string(isa_name(isa));
  return text;
}

}  // namespace

const char* isa_name(Isa isa) {
  switch (isa) {
    case Isa::generic:
      return "generic";
    case Isa::avx2:
      return "avx2";
    case Isa::avx512:
      return "avx512";
    case Isa::avx512_vnni:
      return "avx512_vnni";
    case Isa::avx512_bf16:
      return "avx512_bf16";
    case Isa::amx:
      return "amx";
  }
  return "unknown";
}

Isa parse_isa(std::string_view name) {
  for (Isa isa : kAll)
    if (name == isa_name(isa)) return isa;
  throw std::invalid_argument("isa: found '" + std::string(name) + "', expected one of " +
                              names({std::begin(kAll), std::end(kAll)}));
}

std::vector<Isa> supported_isas() {
  std::vector<Isa> isas;
  for (Isa isa : kAll)
    if (runs_here(isa)) isas.push_back(isa);
  return isas;
}

Isa best_isa() { return supported_isas().back(); }

Isa choose_isa(std::string_view name) {
  if (name.empty()) return active_isa();
  const Isa isa = parse_isa(name);
  if (!runs_here(isa))
    throw std::invalid_argument(
        "isa: found '" + std::string(name) +
        "', expected one that this processor has: " + names(supported_isas()));
  return isa;
}

Isa active_isa() {
  static const Isa best = best_isa();
  const char* forced = std::getenv("MAS_FAST_ISA");
  return forced && *forced ? choose_isa(forced) : best;
}

}  // namespace mas
