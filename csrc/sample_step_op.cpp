// torch.ops.mas_fast.sample_step on a CPU: the core's sampler, row by row.
#include "sample_step_op.h"

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>

#include <memory>

#include "core/isa.h"

namespace mas {
namespace {

using torch::stable::Tensor;

Sampling sampling_of(const RowSettings& row) {
  return {row.guidance, row.temperature, row.top_k ? row.top_k : kAll,
          row.top_p != 0 ? std::optional(row.top_p) : kOff};
}

void sample_step_cpu(Tensor logits, std::optional<Tensor> uncond, Tensor first, Tensor forced,
                     Tensor guidance, Tensor temperature, Tensor top_k, Tensor top_p, Tensor seed,
                     Tensor sample, Tensor drawn, int64_t window, int64_t end) {
  const SampleStep step = sample_step_of(logits, uncond, first, forced, guidance, temperature,
                                         top_k, top_p, seed, sample, drawn, window, end);
  for (int64_t row = 0; row < step.rows; ++row)
    if (const StepRow r = step_row(step, row); r.token == kUndecided)
      check(sampling_of(r.settings));
  const Isa isa = active_isa();
  torch::stable::parallel_for(0, step.rows, 1, [&](int64_t begin, int64_t stop) {
    const auto scratch = std::make_unique_for_overwrite<double[]>(
        sampler_scratch_bytes(step.vocab) / sizeof(double) + 1);
    for (int64_t row = begin; row < stop; ++row) {
      const auto [token, settings] = step_row(step, row);
      step.drawn[row] = token;
      if (token != kUndecided) continue;
      step.drawn[row] = drawn_of(
          sample_or_nan(step.logits + row * step.vocab,
                        settings.guided ? step.uncond + row * step.vocab : nullptr, step.vocab,
                        sampling_of(settings), {settings.seed, settings.sample, settings.position},
                        scratch.get(), nullptr, isa));
    }
  });
}

}  // namespace
}  // namespace mas

STABLE_TORCH_LIBRARY_FRAGMENT(mas_fast, m) {
  m.def(
      "sample_step(Tensor logits, Tensor? uncond, Tensor first, Tensor forced, Tensor guidance, "
      "Tensor temperature, Tensor top_k, Tensor top_p, Tensor seed, Tensor sample, "
      "Tensor(a!) drawn, int window, int end) -> ()");
}

STABLE_TORCH_LIBRARY_IMPL(mas_fast, CPU, m) {
  m.impl("sample_step", TORCH_BOX(&mas::sample_step_cpu));
}
