// The weights of a GPT, packed for the kernels in one block of memory, in the order in which a
// token reads them.
#pragma once

#include <cstdint>
#include <map>

#include "config.h"
#include "memory.h"

namespace mas {

struct LayerWeights {
  const float *norm1_weight, *norm1_bias, *qkv_bias, *proj_bias;
  const float *q_norm, *k_norm;  // null without qk_norm
  const float *norm2_weight, *norm2_bias, *up_bias, *down_bias;
  Packed qkv, proj, up, down;
};

struct StreamWeights {
  Source embed;           // [vocab, dim]
  const float* position;  // [length, dim]
  Packed head;
};

class Weights {
 public:
  explicit Weights(const Config& config);

  // Copies in one tensor of shape `shape`. Names are those of the GPT's state dict, with one flat
  // table position.{stream}.weight per stream. Throws std::invalid_argument for an unknown name, a
  // name given twice, a wrong shape, or a weight that is not finite.
  void load(const std::string& name, const Source& source, const std::vector<size_t>& shape);

  // The same for a matrix whose levels are found already. Throws also for a tensor that is not
  // quantized.
  void load(const std::string& name, const Levels& source, const std::vector<size_t>& shape);

  // Throws std::invalid_argument naming the tensors that load() has not seen.
  void check_complete() const;

  const std::vector<LayerWeights>& layers() const { return layers_; }
  const std::vector<StreamWeights>& streams() const { return streams_; }
  const float* norm_weight() const { return norm_weight_; }
  const float* norm_bias() const { return norm_bias_; }

  size_t bytes() const { return memory_.bytes(); }
  // The bytes that one step that predicts `stream` reads, without the embedding rows, which are a
  // thousandth of them.
  size_t step_bytes(int stream) const;

 private:
  enum class Kind { vector, table, matrix };
  struct Entry {
    Kind kind;
    std::vector<size_t> shape;
    size_t offset;
    DType dtype;  // of a matrix
    bool loaded = false;
  };

  const float* add_vector(const std::string& name, int size);
  const float* add_rows(const std::string& name, int rows, int columns);
  Packed add_matrix(const std::string& name, int outputs, int inputs, DType dtype);
  Source add_table(const std::string& name, int rows, int columns);
  size_t add(const std::string& name, Kind kind, std::vector<size_t> shape, size_t bytes,
             DType dtype = DType::fp32);
  Entry& entry_of(const std::string& name, const std::vector<size_t>& shape);
  template <class From>
  void load_matrix(const std::string& name, Entry& entry, const From& source);
  const char* at(size_t offset) const {
    return reinterpret_cast<const char*>(reinterpret_cast<uintptr_t>(memory_.as<char>()) + offset);
  }
  void lay_out();

  Config config_;
  std::map<std::string, Entry> entries_;
  size_t used_ = 0;
  Buffer memory_;
  std::vector<LayerWeights> layers_;
  std::vector<StreamWeights> streams_;
  const float *norm_weight_ = nullptr, *norm_bias_ = nullptr;
};

}  // namespace mas
