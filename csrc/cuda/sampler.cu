// torch.ops.mas_fast.sample and sample_step on a GPU: what each row does is in sampler.cuh.
#include <cuda_runtime.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/macros.h>

#include "../sample_op.h"
#include "../sample_step_op.h"
#include "sampler.cuh"
#include "team.cuh"

namespace mas {
namespace {

// A row has a cluster of eight blocks where there are clusters, and else one block; so GPUs before
// compute capability 9.0 spend one of their multiprocessors on a row.
using Cluster = CudaTeam<8, 256>;
using Block = CudaTeam<1, 512>;

// The rows of sample(), whose settings are numbers.
struct SampleRows {
  const float *logits, *uncond;
  const int64_t *sample, *position;
  int64_t* token;
  uint8_t* kept;
  RowSettings settings;  // but for those two
  int64_t rows;
  int vocab;

  template <class Team, template <class> class Tokens>
  __device__ void run(const Team& team, Shared<Team>& shared, void* memory, int64_t row) const {
    Tokens<Team> tokens(team, memory, vocab);
    tokens.fetch(logits + row * vocab, uncond ? uncond + row * vocab : nullptr);
    RowSettings s = settings;
    s.sample = static_cast<uint32_t>(sample[row]);
    s.position = static_cast<uint32_t>(position[row]);
    tokens.wait();
    Context<Team> context{team, shared};
    const int32_t drawn = sample_row(context, tokens, s, vocab, kept + row * vocab);
    if (team.rank == 0 && team.thread == 0) token[row] = drawn;
  }
};

struct StepRows : SampleStep {
  template <class Team, template <class> class Tokens>
  __device__ void run(const Team& team, Shared<Team>& shared, void* memory, int64_t row) const {
    sample_step_row<Team, Tokens>(team, shared, memory, *this, row);
  }
};

template <class Team, template <class> class Tokens, class Rows>
__global__ void __launch_bounds__(Team::kThreads, 1) sample_rows(const Rows rows) {
  if constexpr (Team::kExists) {
    __shared__ Shared<Team> shared;
    extern __shared__ TwoKeys memory[];
    rows.template run<Team, Tokens>(Team(), shared, memory, blockIdx.x / Team::kBlocks);
  }
}

template <class Team, template <class> class Tokens, class Rows>
void launch(const Rows& rows, int dynamic_limit, cudaStream_t stream) {
  const auto kernel = sample_rows<Team, Tokens, Rows>;
  STD_CUDA_CHECK(
      cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, dynamic_limit));
  cudaLaunchAttribute cluster{};
  cluster.id = cudaLaunchAttributeClusterDimension;
  cluster.val.clusterDim = {Team::kBlocks, 1, 1};
  cudaLaunchConfig_t config{};
  config.gridDim = dim3(static_cast<unsigned>(rows.rows * Team::kBlocks));
  config.blockDim = dim3(Team::kThreads);
  config.dynamicSmemBytes = Tokens<Team>::bytes(rows.vocab);
  config.stream = stream;
  config.attrs = &cluster;
  config.numAttrs = Team::kBlocks > 1;
  STD_CUDA_CHECK(cudaLaunchKernelEx(&config, kernel, rows));
}

template <class Team, class Rows>
void launch_team(const Rows& rows, int device, cudaStream_t stream) {
  int most = 0;
  STD_CUDA_CHECK(cudaDeviceGetAttribute(&most, cudaDevAttrMaxSharedMemoryPerBlockOptin, device));
  const int limit = most - static_cast<int>(sizeof(Shared<Team>));
  if (HeldTokens<Team>::bytes(rows.vocab) <= static_cast<size_t>(limit))
    launch<Team, HeldTokens>(rows, limit, stream);
  else
    launch<Team, ReadTokens>(rows, limit, stream);
}

// On the current stream, without waiting and without memory of its own.
template <class Rows>
void launch_rows(const Rows& rows, int device) {
  if (rows.rows == 0) return;
  void* stream = nullptr;
  TORCH_ERROR_CODE_CHECK(aoti_torch_get_current_cuda_stream(device, &stream));
  cudaFuncAttributes code{};  // what was compiled, not what the device could do
  STD_CUDA_CHECK(cudaFuncGetAttributes(&code, sample_rows<Cluster, ReadTokens, Rows>));
  if (code.ptxVersion >= 90)
    launch_team<Cluster>(rows, device, static_cast<cudaStream_t>(stream));
  else
    launch_team<Block>(rows, device, static_cast<cudaStream_t>(stream));
}

std::tuple<Tensor, Tensor> sample_cuda(Tensor logits, std::optional<Tensor> uncond, double guidance,
                                       double temperature, std::optional<int64_t> top_k,
                                       std::optional<double> top_p, int64_t seed, Tensor sample,
                                       Tensor position) {
  const int device = logits.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  SampleOp op(logits, uncond, sampling_of(guidance, temperature, top_k, top_p), sample, position);
  const SampleRows rows{
      .logits = op.logits,
      .uncond = op.uncond,
      .sample = op.sample,
      .position = op.position,
      .token = op.token.mutable_data_ptr<int64_t>(),
      .kept = static_cast<uint8_t*>(op.kept.mutable_data_ptr()),
      .settings = {op.uncond != nullptr, static_cast<float>(guidance),
                   static_cast<float>(temperature), top_k.value_or(0), top_p.value_or(0),
                   static_cast<uint64_t>(seed), 0, 0},
      .rows = op.rows,
      .vocab = static_cast<int>(op.vocab),
  };
  launch_rows(rows, device);
  return {op.token, op.kept};
}

void sample_step_cuda(Tensor logits, std::optional<Tensor> uncond, Tensor first, Tensor forced,
                      Tensor guidance, Tensor temperature, Tensor top_k, Tensor top_p, Tensor seed,
                      Tensor sample, Tensor drawn, int64_t window, int64_t end) {
  const int device = logits.get_device_index();
  const torch::stable::accelerator::DeviceGuard guard(device);
  launch_rows(StepRows{sample_step_of(logits, uncond, first, forced, guidance, temperature, top_k,
                                      top_p, seed, sample, drawn, window, end)},
              device);
}

}  // namespace
}  // namespace mas

STABLE_TORCH_LIBRARY_IMPL(mas_fast, CUDA, m) {
  m.impl("sample", TORCH_BOX(&mas::sample_cuda));
  m.impl("sample_step", TORCH_BOX(&mas::sample_step_cuda));
}
