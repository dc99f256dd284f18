// MAS_HOST_DEVICE: always internal linkage. The same header is compiled for several instruction
// sets, and a weak symbol could let the linker keep the copy that this machine cannot run.
#pragma once

#if defined(__CUDACC__)
#define MAS_HOST_DEVICE static __host__ __device__ __forceinline__
#else
#define MAS_HOST_DEVICE static inline __attribute__((always_inline))
#endif
