#include "kernels.h"

namespace mas {

#define MAS_DECLARE(level)    \
  namespace level {           \
  extern const Kernels table; \
  }
MAS_DECLARE(generic)
#if defined(__x86_64__)
MAS_DECLARE(avx2)
MAS_DECLARE(avx512)
MAS_DECLARE(avx512_vnni)
MAS_DECLARE(avx512_bf16)
#endif

const Kernels& kernels(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx2:
      return avx2::table;
    case Isa::avx512:
      return avx512::table;
    case Isa::avx512_vnni:
      return avx512_vnni::table;
    case Isa::avx512_bf16:
      return avx512_bf16::table;
#endif
    default:
      return generic::table;
  }
}

}  // namespace mas
