// torch.ops.mas_fast.vq_nearest on a CPU. ops/functional.py has checked its arguments already;
// these checks keep a direct call from reading outside its tensors.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include "aligned.h"
#include "core/vq.h"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

const float* matrix(const Tensor& tensor, const char* name) {
  STD_TORCH_CHECK(
      tensor.dim() == 2 && tensor.scalar_type() == ScalarType::Float && tensor.is_contiguous(),
      name, ": expected a contiguous float32 matrix");
  return tensor.const_data_ptr<float>();
}

// int64 [N]: -1 where a row is not finite, and everywhere when the codebook is not.
Tensor vq_nearest_cpu(Tensor x, Tensor codebook) {
  x = mas::aligned(x);
  codebook = mas::aligned(codebook);
  const float *rows = matrix(x, "x"), *codes = matrix(codebook, "codebook");
  const int64_t channels = codebook.size(1);
  STD_TORCH_CHECK(x.size(1) == channels, "x: found ", x.size(1), " channels, expected ", channels,
                  ", like the codebook");
  mas::VqCodebook book(codes, codebook.size(0), channels, mas::active_isa());
  torch::stable::parallel_for(0, book.panels(), 1, [&](int64_t begin, int64_t end) {
    book.pack(static_cast<int>(begin), static_cast<int>(end));
  });
  Tensor nearest = torch::stable::new_empty(x, {x.size(0)}, ScalarType::Long);
  if (!book.finite()) return torch::stable::fill_(nearest, -1);
  int64_t* out = nearest.mutable_data_ptr<int64_t>();
  torch::stable::parallel_for(0, x.size(0), mas::kVqTile, [&](int64_t begin, int64_t end) {
    book.nearest(rows + begin * channels, end - begin, out + begin);
  });
  return nearest;
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(mas_fast, m) {
  m.def("vq_nearest(Tensor x, Tensor codebook) -> Tensor");
}

STABLE_TORCH_LIBRARY_IMPL(mas_fast, CPU, m) { m.impl("vq_nearest", TORCH_BOX(&vq_nearest_cpu)); }
