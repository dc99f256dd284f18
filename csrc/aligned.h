// Tensors over foreign memory may begin at any byte (torch.frombuffer, torch.from_numpy), but the
// core reads aligned numbers only.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>

namespace mas {

// The tensor, copied if its first element is not aligned to its size.
inline torch::stable::Tensor aligned(const torch::stable::Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.data_ptr());
  return address % tensor.element_size() ? torch::stable::clone(tensor) : tensor;
}

}  // namespace mas
