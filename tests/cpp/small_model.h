// A small GPT with random weights: its logits in plain loops and doubles, engines over it, and
// requests to them.
#pragma once

#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <random>

#include "core/run.h"
#include "masks.h"

using mas::Config;
using mas::DType;
using Vector = std::vector<double>;

struct Tensors {
  std::map<std::string, std::vector<float>> values;
  std::map<std::string, std::vector<size_t>> shapes;
  const float* operator[](const std::string& name) const { return values.at(name).data(); }
};

inline Tensors random_tensors(const Config& config) {
  Tensors tensors;
  std::mt19937 random(1);
  std::normal_distribution<float> normal(0, 0.2f);
  auto add = [&](const std::string& name, std::vector<size_t> shape, float center = 0) {
    size_t count = 1;
    for (size_t size : shape) count *= size;
    std::vector<float>& values = tensors.values[name];
    for (size_t i = 0; i < count; ++i) values.push_back(center + normal(random));
    tensors.shapes[name] = std::move(shape);
  };
  const size_t dim = config.dim, mlp = config.mlp;
  for (int i = 0; i < config.layers; ++i) {
    const std::string block = "blocks." + std::to_string(i) + ".";
    for (const char* norm : {"norm1", "norm2"}) {
      add(block + norm + ".weight", {dim}, 1);
      add(block + norm + ".bias", {dim});
    }
    add(block + "attention.qkv.weight", {3 * dim, dim});
    add(block + "attention.qkv.bias", {3 * dim});
    add(block + "attention.proj.weight", {dim, dim});
    add(block + "attention.proj.bias", {dim});
    add(block + "mlp.up.weight", {mlp, dim});
    add(block + "mlp.up.bias", {mlp});
    add(block + "mlp.down.weight", {dim, mlp});
    add(block + "mlp.down.bias", {dim});
    if (config.qk_norm) {
      add(block + "attention.q_norm.weight", {size_t(config.head_dim())}, 1);
      add(block + "attention.k_norm.weight", {size_t(config.head_dim())}, 1);
    }
  }
  add("norm.weight", {dim}, 1);
  add("norm.bias", {dim});
  for (const mas::StreamShape& stream : config.streams) {
    add("embed." + stream.name + ".weight", {size_t(stream.vocab), dim});
    add("position." + stream.name + ".weight", {size_t(stream.length), dim});
    add("head." + stream.name + ".weight", {size_t(stream.vocab), dim});
  }
  return tensors;
}

inline Vector product(const Vector& x, const float* weight, const float* bias, int outputs) {
  Vector y(outputs);
  for (int o = 0; o < outputs; ++o) {
    y[o] = bias ? bias[o] : 0;
    for (size_t i = 0; i < x.size(); ++i) y[o] += x[i] * weight[o * x.size() + i];
  }
  return y;
}

inline Vector normed(const Vector& x, const float* weight, const float* bias, double epsilon) {
  double mean = 0, squares = 0;
  for (double value : x) mean += value / x.size();
  for (double value : x) squares += (value - mean) * (value - mean) / x.size();
  Vector y(x.size());
  for (size_t i = 0; i < x.size(); ++i)
    y[i] = (x[i] - mean) / std::sqrt(squares + epsilon) * weight[i] + bias[i];
  return y;
}

inline void rms(double* x, const float* weight, int size) {
  double squares = 0;
  for (int i = 0; i < size; ++i) squares += x[i] * x[i] / size;
  for (int i = 0; i < size; ++i) x[i] *= weight[i] / std::sqrt(squares + 1e-6);
}

// The logits that each position but the last predicts.
inline std::vector<Vector> exact_logits(const Config& config, const Tensors& w,
                                        const std::vector<int32_t>& tokens) {
  const int dim = config.dim, width = config.head_dim(), length = int(tokens.size());
  std::vector<Vector> x(length, Vector(dim)), qkv(length);
  for (int t = 0; t < length; ++t) {
    const int stream = config.stream_at(t);
    const std::string& name = config.streams[stream].name;
    for (int i = 0; i < dim; ++i)
      x[t][i] = double(w["embed." + name + ".weight"][tokens[t] * dim + i]) +
                w["position." + name + ".weight"][(t - config.offset(stream)) * dim + i];
  }
  for (int layer = 0; layer < config.layers; ++layer) {
    const std::string block = "blocks." + std::to_string(layer) + ".";
    auto get = [&](const std::string& name) { return w[block + name]; };
    for (int t = 0; t < length; ++t) {
      qkv[t] = product(normed(x[t], get("norm1.weight"), get("norm1.bias"), config.norm_eps),
                       get("attention.qkv.weight"), get("attention.qkv.bias"), 3 * dim);
      for (int head = 0; config.qk_norm && head < config.heads; ++head) {
        rms(&qkv[t][head * width], get("attention.q_norm.weight"), width);
        rms(&qkv[t][dim + head * width], get("attention.k_norm.weight"), width);
      }
    }
    for (int t = 0; t < length; ++t) {
      Vector mixed(dim);
      for (int head = 0; head < config.heads; ++head) {
        Vector weights(t + 1);
        double most = -1e300, total = 0;
        for (int s = 0; s <= t; ++s) {
          if (!sees(config, config.mask(layer), t, s)) {
            weights[s] = -INFINITY;
            continue;
          }
          for (int i = 0; i < width; ++i)
            weights[s] += qkv[t][head * width + i] * qkv[s][dim + head * width + i];
          weights[s] /= std::sqrt(double(width));
          most = std::max(most, weights[s]);
        }
        for (double& weight : weights) total += weight = std::exp(weight - most);
        for (int s = 0; s <= t; ++s)
          for (int i = 0; i < width; ++i)
            mixed[head * width + i] += weights[s] / total * qkv[s][2 * dim + head * width + i];
      }
      const Vector attended =
          product(mixed, get("attention.proj.weight"), get("attention.proj.bias"), dim);
      for (int i = 0; i < dim; ++i) x[t][i] += attended[i];
      Vector hidden = product(normed(x[t], get("norm2.weight"), get("norm2.bias"), config.norm_eps),
                              get("mlp.up.weight"), get("mlp.up.bias"), config.mlp);
      for (double& value : hidden) value *= 0.5 * (1 + std::erf(value / std::sqrt(2.0)));
      const Vector added = product(hidden, get("mlp.down.weight"), get("mlp.down.bias"), dim);
      for (int i = 0; i < dim; ++i) x[t][i] += added[i];
    }
  }
  std::vector<Vector> logits;
  for (int t = 0; t + 1 < length; ++t) {
    const mas::StreamShape& stream = config.streams[config.stream_at(t + 1)];
    logits.push_back(product(normed(x[t], w["norm.weight"], w["norm.bias"], config.norm_eps),
                             w["head." + stream.name + ".weight"], nullptr, stream.vocab));
  }
  return logits;
}

inline std::shared_ptr<mas::Engine> make(Config config, const Tensors& tensors, DType dtype,
                                         DType kv_dtype, int threads, mas::Isa isa) {
  config.dtype = dtype;
  config.kv_dtype = kv_dtype;
  auto engine = std::make_shared<mas::Engine>(config, threads, isa);
  for (const auto& [name, values] : tensors.values)
    engine->weights().load(name, {values.data(), false}, tensors.shapes.at(name));
  engine->weights().check_complete();
  return engine;
}

inline mas::Request request(const Config& config, int prompts, int samples) {
  mas::Request made;
  made.prompts = prompts;
  made.samples = samples;
  made.stop = config.length();
  made.seed = 42;
  for (int prompt = 0; prompt < prompts; ++prompt)
    for (int t = 0; t < config.length(); ++t) {
      const int first = config.streams[0].length;
      const bool middle =
          prompt == 1 && t >= first + 3 && t < first + 9;  // one prompt has part of a later stream
      made.forced.push_back(t < first - 2 ? (t * 3 + prompt) % config.streams[0].vocab
                            : middle      ? 1
                                          : -1);
    }
  made.null.assign(size_t(prompts) * config.streams[0].length, 0);
  for (int t = 0; t < config.length(); ++t) {
    const int stream = config.stream_at(t);
    made.sampling.push_back({stream ? 1.5 : 1.0, 1.0, stream == 1 ? 5 : mas::kAll, {}});
  }
  return made;
}

// The instruction sets to test. Under ThreadSanitizer, which is slow, one is enough, as threads
// meet in code that all of them share.
inline std::vector<mas::Isa> tested_isas() {
#if defined(__SANITIZE_THREAD__)
  return {mas::best_isa()};
#else
  return mas::supported_isas();
#endif
}

// Calls act(isa, dtype, kv_dtype) for every instruction set and each type of weights and of keys.
template <class Act>
void each_kind(Act act) {
  for (const mas::Isa isa : tested_isas())
    for (const auto& [dtype, kv_dtype] : {std::pair{DType::fp32, DType::fp32},
                                          {DType::bf16, DType::bf16},
                                          {DType::int8, DType::bf16},
                                          {DType::int8, DType::int8},
                                          {DType::int4, DType::int8}})
      act(isa, dtype, kv_dtype);
}

// Sizes that are no multiple of anything.
inline const Config odd{.dim = 45,
                        .layers = 2,
                        .heads = 3,
                        .mlp = 77,
                        .qk_norm = true,
                        .streams = {{"text", 6, 13}, {"seg", 31, 37}, {"img", 40, 70}}};
inline const Config wide{
    .dim = 96, .layers = 1, .heads = 1, .mlp = 130, .streams = {{"text", 4, 33}, {"img", 37, 64}}};
// No part of it begins or ends with a panel, and the second layer's slots are no positions.
inline const Config sparse{
    .dim = 45,
    .layers = 3,
    .heads = 3,
    .mlp = 77,
    .streams = {{"text", 6, 13}, {"seg", 42, 37, 6, 7}, {"img", 66, 70, 6, 11}},
    .attention = {mas::Mask::row, mas::Mask::column, mas::Mask::conv},
    .conv_kernel = 5};
inline const Config without_text{.dim = 32,
                                 .layers = 2,
                                 .heads = 1,
                                 .mlp = 32,
                                 .streams = {{"seg", 30, 37, 5, 6}, {"img", 40, 70, 8, 5}},
                                 .attention = {mas::Mask::conv, mas::Mask::column},
                                 .conv_kernel = 3};
// Sums of more inputs than are multiplied in one go.
inline const Config five{.dim = 95,
                         .layers = 2,
                         .heads = 5,
                         .mlp = 333,
                         .qk_norm = true,
                         .streams = {{"text", 5, 33}, {"img", 67, 101}}};
inline const Config four{
    .dim = 132, .layers = 1, .heads = 4, .mlp = 35, .streams = {{"text", 3, 7}, {"img", 70, 9}}};
