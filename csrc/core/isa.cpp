#include "isa.h"

#include <cstdlib>
#include <stdexcept>

namespace mas {

namespace {

constexpr Isa kAll[] = {Isa::generic, Isa::avx2, Isa::avx512, Isa::avx512_vnni, Isa::avx512_bf16};

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
