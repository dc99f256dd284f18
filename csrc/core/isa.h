// Which instruction set the kernels use: the best that the processor has, or the one that
// MAS_FAST_ISA names (for tests and for telling a processor's bug from ours).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace mas {

// A ladder for each kind of processor, both from `generic` on: each level has all the instructions
// of the levels before it. `amx` needs Linux and a compiler that knows tiles (MAS_FAST_AMX);
// `neon_i8mm` has bfloat16 too, as all processors of Armv8.6.
enum class Isa {
  generic,
  avx2,
  avx512,
  avx512_vnni,
  avx512_bf16,
  amx,
  neon,
  neon_dotprod,
  neon_i8mm
};

const char* isa_name(Isa isa);

// Throws std::invalid_argument naming the levels that exist.
Isa parse_isa(std::string_view name);

// Whether the level is built and this processor runs it (isa_x86.cpp, isa_aarch64.cpp,
// isa_other.cpp).
bool runs_here(Isa isa);

// The levels that are built and that this processor runs, lowest first.
std::vector<Isa> supported_isas();

Isa best_isa();

// MAS_FAST_ISA, or the best. Throws std::invalid_argument when it names an unknown or an
// unsupported level.
Isa active_isa();

// `name`, or active_isa() where it is empty; throws as above.
Isa choose_isa(std::string_view name);

}  // namespace mas
