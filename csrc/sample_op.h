// The arguments of torch.ops.mas_fast.sample, checked once for both devices. ops/functional.py has
// already checked them with clearer errors; these checks keep a direct call from reading outside
// its tensors.
#pragma once

#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <cstdint>
#include <optional>
#include <tuple>

#include "aligned.h"
#include "core/sampler.h"

namespace mas {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

struct SampleOp {
  int64_t rows, vocab;
  Sampling sampling;
  const float* logits;
  const float* uncond;  // may be null
  const int64_t* sample;
  const int64_t* position;
  Tensor token, kept;  // int64 [rows], bool [rows, vocab]: not yet written

  SampleOp(const Tensor& given, const std::optional<Tensor>& given_uncond,
           const Sampling& sampling_, const Tensor& given_sample, const Tensor& given_position)
      : sampling(sampling_),
        logits_(aligned(given)),
        uncond_(given_uncond ? std::optional(aligned(*given_uncond)) : std::nullopt),
        sample_(aligned(given_sample)),
        position_(aligned(given_position)) {
    STD_TORCH_CHECK(logits_.dim() == 2, "logits: found ", logits_.dim(),
                    " dimensions, expected [batch, vocabulary]");
    rows = logits_.size(0);
    vocab = logits_.size(1);
    check_vocab(vocab);
    check(sampling);
    logits = matrix(logits_, logits_, "logits");
    uncond = uncond_ ? matrix(*uncond_, logits_, "uncond") : nullptr;
    sample = words(sample_, logits_, "sample");
    position = words(position_, logits_, "position");
    token = torch::stable::new_empty(logits_, {rows}, ScalarType::Long);
    kept = torch::stable::new_empty(logits_, {rows, vocab}, ScalarType::Bool);
  }

 private:
  Tensor logits_;
  std::optional<Tensor> uncond_;
  Tensor sample_, position_;  // what the pointers point into

  static void same_device(const Tensor& tensor, const Tensor& logits, const char* name) {
    STD_TORCH_CHECK(tensor.is_contiguous() && tensor.device() == logits.device(), name,
                    ": expected it contiguous and on the device of the logits");
  }
  const float* matrix(const Tensor& tensor, const Tensor& logits, const char* name) const {
    STD_TORCH_CHECK(tensor.scalar_type() == ScalarType::Float && tensor.dim() == 2 &&
                        tensor.size(0) == rows && tensor.size(1) == vocab,
                    name, ": expected float32 [", rows, ", ", vocab, "]");
    same_device(tensor, logits, name);
    return tensor.const_data_ptr<float>();
  }
  const int64_t* words(const Tensor& tensor, const Tensor& logits, const char* name) const {
    STD_TORCH_CHECK(
        tensor.scalar_type() == ScalarType::Long && tensor.dim() == 1 && tensor.size(0) == rows,
        name, ": expected int64 [", rows, "]");
    same_device(tensor, logits, name);
    return tensor.const_data_ptr<int64_t>();
  }
};

inline Sampling sampling_of(double guidance, double temperature, std::optional<int64_t> top_k,
                            std::optional<double> top_p) {
  return {guidance, temperature, top_k.value_or(kAll), top_p};
}

}  // namespace mas
