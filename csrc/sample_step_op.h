// The arguments of torch.ops.mas_fast.sample_step, checked once for both devices.
// ops/step_sampling.py has already checked them with clearer errors; these checks keep a direct
// call from reading outside its tensors.
#pragma once

#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <initializer_list>
#include <optional>

#include "core/sample_step.h"
#include "core/sampler.h"

namespace mas {

// The data of a tensor of this type and shape, on the device of `like`.
template <class T>
T* checked_data(const torch::stable::Tensor& tensor, const torch::stable::Tensor& like,
                torch::headeronly::ScalarType type, std::initializer_list<int64_t> shape,
                const char* name) {
  bool fits = tensor.scalar_type() == type && tensor.dim() == static_cast<int64_t>(shape.size());
  int64_t dimension = 0;
  for (int64_t size : shape) fits = fits && tensor.size(dimension++) == size;
  STD_TORCH_CHECK(fits, name, ": found another dtype or shape than expected");
  STD_TORCH_CHECK(tensor.is_contiguous() && tensor.device() == like.device() &&
                      reinterpret_cast<uintptr_t>(tensor.data_ptr()) % sizeof(T) == 0,
                  name, ": expected it contiguous, aligned and on the device of the logits");
  return static_cast<T*>(tensor.data_ptr());
}

inline SampleStep sample_step_of(
    const torch::stable::Tensor& logits, const std::optional<torch::stable::Tensor>& uncond,
    const torch::stable::Tensor& first, const torch::stable::Tensor& forced,
    const torch::stable::Tensor& guidance, const torch::stable::Tensor& temperature,
    const torch::stable::Tensor& top_k, const torch::stable::Tensor& top_p,
    const torch::stable::Tensor& seed, const torch::stable::Tensor& sample,
    const torch::stable::Tensor& drawn, int64_t window, int64_t end) {
  using Type = torch::headeronly::ScalarType;
  STD_TORCH_CHECK(logits.dim() == 2 && forced.dim() == 2,
                  "logits and forced: expected [rows, vocabulary] and [sequences, positions]");
  const int64_t sequences = forced.size(0), positions = forced.size(1), vocab = logits.size(1);
  const int64_t rows = logits.size(0);
  check_vocab(vocab);
  STD_TORCH_CHECK(window >= 1 && window <= INT32_MAX && positions <= INT32_MAX, "window: found ",
                  window, ", expected at least 1");
  STD_TORCH_CHECK(end >= 0 && end <= positions, "end: found ", end, ", expected 0 to ", positions);
  STD_TORCH_CHECK(rows == sequences * window, "logits: found ", rows, " rows, expected ",
                  sequences * window);
  return {
      .logits = checked_data<float>(logits, logits, Type::Float, {rows, vocab}, "logits"),
      .uncond = uncond ? checked_data<float>(*uncond, logits, Type::Float, {rows, vocab}, "uncond")
                       : nullptr,
      .first = checked_data<int32_t>(first, logits, Type::Int, {sequences}, "first"),
      .forced = checked_data<int32_t>(forced, logits, Type::Int, {sequences, positions}, "forced"),
      .guidance =
          checked_data<float>(guidance, logits, Type::Float, {sequences, positions}, "guidance"),
      .temperature =
          checked_data<float>(temperature, logits, Type::Float, {sequences}, "temperature"),
      .top_k = checked_data<int32_t>(top_k, logits, Type::Int, {sequences}, "top_k"),
      .top_p = checked_data<double>(top_p, logits, Type::Double, {sequences}, "top_p"),
      .seed = checked_data<int64_t>(seed, logits, Type::Long, {sequences}, "seed"),
      .sample = checked_data<int64_t>(sample, logits, Type::Long, {sequences}, "sample"),
      .drawn = checked_data<int32_t>(drawn, logits, Type::Int, {sequences, window}, "drawn"),
      .rows = rows,
      .vocab = static_cast<int>(vocab),
      .window = static_cast<int>(window),
      .positions = static_cast<int>(positions),
      .end = static_cast<int>(end),
  };
}

}  // namespace mas
