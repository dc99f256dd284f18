#include "kernels.h"
#include "per_isa.h"

namespace mas {

MAS_DECLARE_PER_ISA(Kernels, table)
#if defined(MAS_FAST_AMX)
MAS_DECLARE_IN(amx, Kernels, table)
#endif

const Kernels& kernels(Isa isa) {
#if defined(MAS_FAST_AMX)
  if (isa == Isa::amx) return amx::table;
#endif
  return MAS_CHOOSE(isa, table);
}

}  // namespace mas
