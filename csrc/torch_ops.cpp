// The torch operators and their CPU implementations, under torch's stable ABI. The fakes are in
// ops/dispatch.py.
#include <torch/csrc/stable/library.h>

#include <memory>

#include "core/isa.h"
#include "sample_op.h"

namespace {

using mas::Tensor;

// token: int64 [B], -1 - i where token i of the row is the first NaN. kept: bool [B, V], zeros in
// such a row.
std::tuple<Tensor, Tensor> sample_cpu(Tensor logits, std::optional<Tensor> uncond, double guidance,
                                      double temperature, std::optional<int64_t> top_k,
                                      std::optional<double> top_p, int64_t seed, Tensor sample,
                                      Tensor position) {
  mas::SampleOp op(logits, uncond, mas::sampling_of(guidance, temperature, top_k, top_p), sample,
                   position);
  const mas::Isa isa = mas::active_isa();
  const int vocab = static_cast<int>(op.vocab);
  int64_t* token = op.token.mutable_data_ptr<int64_t>();
  uint8_t* kept = static_cast<uint8_t*>(op.kept.mutable_data_ptr());
  torch::stable::parallel_for(0, op.rows, 1, [&](int64_t begin, int64_t end) {
    const auto scratch = std::make_unique_for_overwrite<double[]>(
        mas::sampler_scratch_bytes(vocab) / sizeof(double) + 1);
    for (int64_t row = begin; row < end; ++row) {
      const mas::Draw draw{static_cast<uint64_t>(seed), static_cast<uint32_t>(op.sample[row]),
                           static_cast<uint32_t>(op.position[row])};
      token[row] = mas::sample_or_nan(op.logits + row * op.vocab,
                                      op.uncond ? op.uncond + row * op.vocab : nullptr, vocab,
                                      op.sampling, draw, scratch.get(), kept + row * op.vocab, isa);
    }
  });
  return {op.token, op.kept};
}

}  // namespace

STABLE_TORCH_LIBRARY(mas_fast, m) {
  m.def(
      "sample(Tensor logits, Tensor? uncond, float guidance, float temperature, int? top_k, float? "
      "top_p, "
      "int seed, Tensor sample, Tensor position) -> (Tensor token, Tensor kept)");
}

STABLE_TORCH_LIBRARY_IMPL(mas_fast, CPU, m) { m.impl("sample", TORCH_BOX(&sample_cpu)); }
