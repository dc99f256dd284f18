#include "isa.h"

#include <cstdlib>
#include <stdexcept>

namespace mas {

namespace {

constexpr Isa kAll[] = {Isa::generic,     Isa::avx2,         Isa::avx512,
                        Isa::avx512_vnni, Isa::avx512_bf16,  Isa::amx,
                        Isa::neon,        Isa::neon_dotprod, Isa::neon_i8mm};

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
    case Isa::neon:
      return "neon";
    case Isa::neon_dotprod:
      return "neon_dotprod";
    case Isa::neon_i8mm:
      return "neon_i8mm";
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
