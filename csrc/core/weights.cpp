#include "weights.h"

#include <cmath>
#include <cstring>
#include <stdexcept>

namespace mas {

namespace {

std::string shape_text(const std::vector<size_t>& shape) {
  std::string text = "[";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? ", " : "") + std::to_string(shape[i]);
  return text + "]";
}

}  // namespace

Weights::Weights(const Config& config) : config_(config) {
  lay_out();  // once to measure, with every pointer wrong
  memory_ = Buffer(used_);
  entries_.clear();
  used_ = 0;
  lay_out();
}

void Weights::lay_out() {
  const int dim = config_.dim;
  layers_.clear();
  streams_.clear();
  // int4 leaves the first block and the heads in int8: errors of the one pass through all others,
  // and those of the heads are the logits' own.
  const DType outer = config_.dtype == DType::int4 ? DType::int8 : config_.dtype;
  for (int i = 0; i < config_.layers; ++i) {
    const DType dtype = i ? config_.dtype : outer;
    const std::string block = "blocks." + std::to_string(i) + ".";
    LayerWeights layer{};
    layer.norm1_weight = add_vector(block + "norm1.weight", dim);
    layer.norm1_bias = add_vector(block + "norm1.bias", dim);
    layer.qkv = add_matrix(block + "attention.qkv.weight", 3 * dim, dim, dtype);
    layer.qkv_bias = add_vector(block + "attention.qkv.bias", 3 * dim);
    if (config_.qk_norm) {
      layer.q_norm = add_vector(block + "attention.q_norm.weight", config_.head_dim());
      layer.k_norm = add_vector(block + "attention.k_norm.weight", config_.head_dim());
    }
    layer.proj = add_matrix(block + "attention.proj.weight", dim, dim, dtype);
    layer.proj_bias = add_vector(block + "attention.proj.bias", dim);
    layer.norm2_weight = add_vector(block + "norm2.weight", dim);
    layer.norm2_bias = add_vector(block + "norm2.bias", dim);
    layer.up = add_matrix(block + "mlp.up.weight", config_.mlp, dim, dtype);
    layer.up_bias = add_vector(block + "mlp.up.bias", config_.mlp);
    layer.down = add_matrix(block + "mlp.down.weight", dim, config_.mlp, dtype);
    layer.down_bias = add_vector(block + "mlp.down.bias", dim);
    layers_.push_back(layer);
  }
  norm_weight_ = add_vector("norm.weight", dim);
  norm_bias_ = add_vector("norm.bias", dim);
  for (const StreamShape& stream : config_.streams) {
    StreamWeights weights{};
    weights.head = add_matrix("head." + stream.name + ".weight", stream.vocab, dim, outer);
    weights.embed = add_table("embed." + stream.name + ".weight", stream.vocab, dim);
    weights.position = add_rows("position." + stream.name + ".weight", stream.length, dim);
    streams_.push_back(weights);
  }
}

size_t Weights::add(const std::string& name, Kind kind, std::vector<size_t> shape, size_t bytes,
                    DType dtype) {
  const size_t offset = used_;
  entries_.emplace(name, Entry{kind, std::move(shape), offset, dtype});
  used_ += (bytes + 63) / 64 * 64;
  return offset;
}

const float* Weights::add_vector(const std::string& name, int size) {
  return reinterpret_cast<const float*>(
      at(add(name, Kind::vector, {size_t(size)}, size_t(size) * 4)));
}

const float* Weights::add_rows(const std::string& name, int rows, int columns) {
  const size_t count = size_t(rows) * columns;
  return reinterpret_cast<const float*>(
      at(add(name, Kind::vector, {size_t(rows), size_t(columns)}, count * 4)));
}

Source Weights::add_table(const std::string& name, int rows, int columns) {
  const bool is_bf16 = config_.dtype != DType::fp32;
  const size_t bytes = size_t(rows) * columns * (is_bf16 ? 2 : 4);
  return {at(add(name, Kind::table, {size_t(rows), size_t(columns)}, bytes)), is_bf16};
}

Packed Weights::add_matrix(const std::string& name, int outputs, int inputs, DType dtype) {
  Packed packed{dtype, outputs, inputs};
  packed.data =
      at(add(name, Kind::matrix, {size_t(outputs), size_t(inputs)}, packed.bytes(), dtype));
  return packed;
}

Weights::Entry& Weights::entry_of(const std::string& name, const std::vector<size_t>& shape) {
  const auto match = entries_.find(name);
  if (match == entries_.end())
    throw std::invalid_argument("weights: found '" + name + "', expected none of that name");
  Entry& entry = match->second;
  if (entry.loaded)
    throw std::invalid_argument("weight '" + name + "': found twice, expected once");
  if (entry.shape != shape)
    throw std::invalid_argument("weight '" + name + "': found shape " + shape_text(shape) +
                                ", expected " + shape_text(entry.shape));
  return entry;
}

template <class From>
void Weights::load_matrix(const std::string& name, Entry& entry, const From& source) {
  try {
    pack(Packed{entry.dtype, int(entry.shape[0]), int(entry.shape[1])}, source,
         memory_.as<char>() + entry.offset);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument("'" + name + "': " + error.what());
  }
  entry.loaded = true;
}

void Weights::load(const std::string& name, const Source& source,
                   const std::vector<size_t>& shape) {
  Entry& entry = entry_of(name, shape);
  if (entry.kind == Kind::matrix) return load_matrix(name, entry, source);
  char* out = memory_.as<char>() + entry.offset;
  size_t count = 1;
  for (size_t size : shape) count *= size;
  const bool to_half = entry.kind == Kind::table && config_.dtype != DType::fp32;
  for (size_t i = 0; i < count; ++i) {
    const float value = source.at(i);
    if (!std::isfinite(value))
      throw std::invalid_argument("'" + name + "': element " + std::to_string(i) + ": found " +
                                  std::to_string(value) + ", expected a finite number");
    if (to_half)
      reinterpret_cast<uint16_t*>(out)[i] = to_bf16(value);
    else
      reinterpret_cast<float*>(out)[i] = value;
  }
  entry.loaded = true;
}

void Weights::load(const std::string& name, const Levels& source,
                   const std::vector<size_t>& shape) {
  Entry& entry = entry_of(name, shape);
  if (entry.kind != Kind::matrix || !is_quantized(entry.dtype))
    throw std::invalid_argument("weight '" + name + "': found levels, expected floats");
  load_matrix(name, entry, source);
}

void Weights::check_complete() const {
  std::string missing;
  int count = 0;
  for (const auto& [name, entry] : entries_)
    if (!entry.loaded && ++count <= 8) missing += (count > 1 ? ", " : "") + name;
  if (count > 8) missing += ", and " + std::to_string(count - 8) + " more";
  if (count)
    throw std::invalid_argument("weights: found none for " + missing + ", expected them too");
}

size_t Weights::step_bytes(int stream) const {
  size_t total = streams_[stream].head.bytes();
  const size_t dim = config_.dim;
  for (const LayerWeights& layer : layers_)
    total += layer.qkv.bytes() + layer.proj.bytes() + layer.up.bytes() + layer.down.bytes() +
             4 * (9 * dim + size_t(config_.mlp));
  return total;
}

}  // namespace mas
