// The threads that share a row: kBlocks blocks of a thread block cluster, or one block. sampler.cuh
// uses nothing else of CUDA (tests/cpp/test_cuda_sampler.cpp has another team, of a CPU's threads).
#pragma once

#include <cooperative_groups.h>
#include <cuda_pipeline_primitives.h>

#include <cstdint>

namespace mas {

template <int kBlocksOfTeam, int kThreadsOfBlock>
struct CudaTeam {
  static constexpr int kBlocks = kBlocksOfTeam, kThreads = kThreadsOfBlock, kWarps = kThreads / 32;
  // Whether code of this team is compiled: clusters exist since compute capability 9.0.
#if __CUDA_ARCH__ >= 900
  static constexpr bool kExists = kBlocks > 1;
#else
  static constexpr bool kExists = kBlocks == 1;
#endif

  int rank, thread;  // of the block in the team, of the thread in the block

  __device__ CudaTeam() : rank(static_cast<int>(blockIdx.x) % kBlocks), thread(threadIdx.x) {}

  __device__ int lane() const { return thread % 32; }
  __device__ int warp() const { return thread / 32; }

  __device__ void sync_block() const { __syncthreads(); }

  // A barrier of the whole team in two halves, so that there is work between them.
  __device__ void arrive() const {
#if __CUDA_ARCH__ >= 900
    if constexpr (kBlocks > 1)
      static_cast<void>(cooperative_groups::this_cluster().barrier_arrive());
#endif
  }
  __device__ void wait() const {
#if __CUDA_ARCH__ >= 900
    if constexpr (kBlocks > 1) return cooperative_groups::this_cluster().barrier_wait();
#endif
    __syncthreads();
  }
  __device__ void sync() const {
    arrive();
    wait();
  }

  // The same variable in the shared memory of another block.
  template <class T>
  __device__ T* of(T* mine, int block) const {
#if __CUDA_ARCH__ >= 900
    if constexpr (kBlocks > 1)
      return cooperative_groups::this_cluster().map_shared_rank(mine, block);
#endif
    return mine;
  }

  // Copies to shared memory, of which this thread waits for its own.
  template <int kBytes>
  __device__ static void copy(void* to, const void* from) {
    __pipeline_memcpy_async(to, from, kBytes);
  }
  __device__ static void wait_for_copies() {
    __pipeline_commit();
    __pipeline_wait_prior(0);
  }

  // Within a warp.
  __device__ int64_t shuffle(int64_t value, int lane) const {
    return __shfl_sync(~0u, static_cast<long long>(value), lane);
  }
  __device__ int64_t shuffle_xor(int64_t value, int offset) const {
    return __shfl_xor_sync(~0u, static_cast<long long>(value), offset);
  }
  __device__ int64_t shuffle_up(int64_t value, int offset) const {
    return __shfl_up_sync(~0u, static_cast<long long>(value), offset);
  }
  // The first lane where it is true; the last where it is nowhere.
  __device__ int first_lane(bool value) const {
    const uint32_t lanes = __ballot_sync(~0u, value);
    return lanes ? __ffs(static_cast<int>(lanes)) - 1 : 31;
  }
  __device__ int32_t max_of_warp(int32_t value) const { return __reduce_max_sync(~0u, value); }

  // Adds to shared memory of this block; returns what was there.
  __device__ static uint32_t add(uint32_t* sum, uint32_t value) { return atomicAdd(sum, value); }
};

}  // namespace mas
