#include "isa.h"

namespace mas {

bool runs_here(Isa isa) { return isa == Isa::generic; }

}  // namespace mas
