// torch.ops.mas_fast.label_conv and label_conv_backward on a CPU. ops/functional.py has checked
// their arguments already; these checks keep a direct call from reading outside its tensors.
#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>
#include <torch/headeronly/util/Exception.h>

#include <optional>
#include <tuple>
#include <vector>

#include "aligned.h"
#include "core/label_conv.h"

namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kLines = 4;     // of a task
constexpr int64_t kOutputs = 16;  // of a task, backward: a line of the cache
constexpr int64_t kMost = 1 << 24;

// labels uint8 [B, H, W] and edges bool [B, H, W] for weights of `channels` channels.
mas::LabelMaps maps_of(const Tensor& labels, const std::optional<Tensor>& edges, int64_t channels) {
  STD_TORCH_CHECK(labels.dim() == 3 && labels.scalar_type() == ScalarType::Byte &&
                      labels.is_contiguous() && labels.size(1) <= kMost && labels.size(2) <= kMost,
                  "labels: expected a contiguous uint8 tensor [B, H, W]");
  const int64_t count = channels - edges.has_value();
  STD_TORCH_CHECK(count >= 0 && count <= 255, "weight: found ", count,
                  " channels of labels, expected at most 255");
  if (edges) {
    bool alike = edges->dim() == 3 && edges->scalar_type() == ScalarType::Bool;
    for (int i = 0; alike && i < 3; ++i) alike = edges->size(i) == labels.size(i);
    STD_TORCH_CHECK(alike && edges->is_contiguous(),
                    "edges: expected a contiguous bool tensor like the labels");
  }
  return {labels.const_data_ptr<uint8_t>(),
          edges ? static_cast<const uint8_t*>(edges->data_ptr()) : nullptr,
          edges.has_value(),
          labels.size(0) * labels.size(1),
          static_cast<int>(labels.size(1)),
          static_cast<int>(labels.size(2)),
          static_cast<int>(count)};
}

// fp32 [B, H, W, O] for weight [O, C, 3, 3], of any strides, and bias [O].
Tensor label_conv_cpu(Tensor weight, Tensor bias, Tensor labels, std::optional<Tensor> edges) {
  STD_TORCH_CHECK(weight.dim() == 4 && weight.scalar_type() == ScalarType::Float &&
                      weight.size(0) <= kMost && weight.size(2) == 3 && weight.size(3) == 3,
                  "weight: expected a float32 tensor [O, C, 3, 3]");
  STD_TORCH_CHECK(bias.dim() == 1 && bias.scalar_type() == ScalarType::Float &&
                      bias.size(0) == weight.size(0) && bias.is_contiguous(),
                  "bias: expected a contiguous float32 tensor [O]");
  weight = mas::aligned(weight);
  bias = mas::aligned(bias);
  const mas::LabelMaps maps = maps_of(labels, edges, weight.size(1));
  const int outputs = static_cast<int>(weight.size(0));
  const mas::LabelWeights weights{
      weight.const_data_ptr<float>(),
      {weight.stride(0), weight.stride(1), weight.stride(2), weight.stride(3)},
      bias.const_data_ptr<float>(),
      outputs};
  const std::vector<float> table = mas::label_table(maps, weights);
  const mas::Isa isa = mas::active_isa();
  Tensor out = torch::stable::new_empty(
      weight, {labels.size(0), labels.size(1), labels.size(2), weight.size(0)});
  float* to = out.mutable_data_ptr<float>();
  torch::stable::parallel_for(0, maps.lines, kLines, [&](int64_t begin, int64_t end) {
    mas::label_conv(maps, table.data(), outputs, begin, end, to, isa);
  });
  return out;
}

// The gradients of weight, fp32 [O, channels, 3, 3], and bias, fp32 [O], for grad [B, H, W, O].
std::tuple<Tensor, Tensor> label_conv_backward_cpu(Tensor grad, Tensor labels,
                                                   std::optional<Tensor> edges, int64_t channels) {
  const mas::LabelMaps maps = maps_of(labels, edges, channels);
  bool alike = grad.dim() == 4 && grad.scalar_type() == ScalarType::Float && grad.is_contiguous();
  for (int i = 0; alike && i < 3; ++i) alike = grad.size(i) == labels.size(i);
  STD_TORCH_CHECK(alike && grad.size(3) <= kMost,
                  "grad: expected a contiguous float32 tensor [B, H, W, O] like the labels");
  grad = mas::aligned(grad);
  const int64_t outputs = grad.size(3);
  const mas::Isa isa = mas::active_isa();
  Tensor weight = torch::stable::new_empty(grad, {outputs, channels, 3, 3});
  Tensor bias = torch::stable::new_empty(grad, {outputs});
  const float* from = grad.const_data_ptr<float>();
  float *to = weight.mutable_data_ptr<float>(), *sums = bias.mutable_data_ptr<float>();
  const int64_t tasks = (outputs + kOutputs - 1) / kOutputs;
  torch::stable::parallel_for(0, tasks, 1, [&](int64_t begin, int64_t end) {
    const int64_t last = end * kOutputs < outputs ? end * kOutputs : outputs;
    mas::label_conv_backward(maps, from, static_cast<int>(outputs),
                             static_cast<int>(begin * kOutputs), static_cast<int>(last), to, sums,
                             isa);
  });
  return {weight, bias};
}

}  // namespace

STABLE_TORCH_LIBRARY_FRAGMENT(mas_fast, m) {
  m.def("label_conv(Tensor weight, Tensor bias, Tensor labels, Tensor? edges) -> Tensor");
  m.def(
      "label_conv_backward(Tensor grad, Tensor labels, Tensor? edges, int channels) -> (Tensor "
      "weight, Tensor bias)");
}

STABLE_TORCH_LIBRARY_IMPL(mas_fast, CPU, m) {
  m.impl("label_conv", TORCH_BOX(&label_conv_cpu));
  m.impl("label_conv_backward", TORCH_BOX(&label_conv_backward_cpu));
}
