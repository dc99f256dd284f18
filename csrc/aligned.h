// Tensors of others' memory may begin at any byte (torch.frombuffer, torch.from_numpy); the core
// reads numbers where numbers can be.
#pragma once

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#include <cstdint>

namespace mas {

// The tensor, copied where its first element does not lie at a multiple of its size.
inline torch::stable::Tensor aligned(const torch::stable::Tensor& tensor) {
  const auto address = reinterpret_cast<uintptr_t>(tensor.data_ptr());
  return address % tensor.element_size() ? torch::stable::clone(tensor) : tensor;
}

}  // namespace mas
