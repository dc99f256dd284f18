#include "kernels.h"
#include "per_isa.h"

namespace mas {

MAS_DECLARE_PER_ISA(Kernels, table)

const Kernels& kernels(Isa isa) { return MAS_CHOOSE(isa, table); }

}  // namespace mas
