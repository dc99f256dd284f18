#include "isa.h"

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <cstdlib>
#include <stdexcept>

namespace mas {

namespace {

constexpr Isa kAll[] = {Isa::generic,     Isa::avx2,        Isa::avx512,
                        Isa::avx512_vnni, Isa::avx512_bf16, Isa::amx};

// Whether Linux lets the threads of this process use the tiles of AMX, which it must be asked for.
bool may_use_tiles() {
#if defined(__x86_64__) && defined(__linux__)
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
      return runs_here(Isa::avx512_bf16) && __builtin_cpu_supports("amx-int8") &&
             __builtin_cpu_supports("amx-bf16") && may_use_tiles();
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
