// A table of functions that is compiled once per instruction set: its declaration in each
// namespace, and the choice of one. These are macros, so that a header which those sources include
// defines no function (the linker would keep one copy of it, perhaps one that the processor cannot
// run).
#pragma once

#define MAS_DECLARE_IN(level, Type, table) \
  namespace level {                        \
  extern const Type table;                 \
  }

#if defined(__x86_64__)
#define MAS_DECLARE_PER_ISA(Type, table)   \
  MAS_DECLARE_IN(generic, Type, table)     \
  MAS_DECLARE_IN(avx2, Type, table)        \
  MAS_DECLARE_IN(avx512, Type, table)      \
  MAS_DECLARE_IN(avx512_vnni, Type, table) \
  MAS_DECLARE_IN(avx512_bf16, Type, table)
#define MAS_CHOOSE(isa, table)                      \
  ((isa) >= Isa::avx512_bf16   ? avx512_bf16::table \
   : (isa) == Isa::avx512_vnni ? avx512_vnni::table \
   : (isa) == Isa::avx512      ? avx512::table      \
   : (isa) == Isa::avx2        ? avx2::table        \
                               : generic::table)
#elif defined(__aarch64__)
#define MAS_DECLARE_PER_ISA(Type, table)    \
  MAS_DECLARE_IN(generic, Type, table)      \
  MAS_DECLARE_IN(neon, Type, table)         \
  MAS_DECLARE_IN(neon_dotprod, Type, table) \
  MAS_DECLARE_IN(neon_i8mm, Type, table)
#define MAS_CHOOSE(isa, table)                        \
  ((isa) == Isa::neon_i8mm      ? neon_i8mm::table    \
   : (isa) == Isa::neon_dotprod ? neon_dotprod::table \
   : (isa) == Isa::neon         ? neon::table         \
                                : generic::table)
#else
#define MAS_DECLARE_PER_ISA(Type, table) MAS_DECLARE_IN(generic, Type, table)
#define MAS_CHOOSE(isa, table) (static_cast<void>(isa), generic::table)
#endif
