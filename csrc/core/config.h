// The shape of a GPT over token streams: mas_fast/models/gpt.py defines the model, this the part
// that the engine needs.
#pragma once

#include <string>
#include <vector>

#include "packed.h"

namespace mas {

struct StreamShape {
  std::string name;
  int length = 0, vocab = 0;
};

struct Config {
  int dim = 0, layers = 0, heads = 0, mlp = 0;
  bool qk_norm = false;
  float norm_eps = 1e-5f;
  std::vector<StreamShape> streams;
  DType dtype = DType::fp32;
  DType kv_dtype = DType::fp32;

  int head_dim() const { return dim / heads; }
  int length() const;  // of a whole sequence
  int largest_vocab() const;
  int stream_at(int position) const;  // the stream that holds the token at `position`
  int offset(int stream) const;       // the position of its first token

  // Throws std::invalid_argument naming the field, the value found and those allowed.
  void check() const;
};

}  // namespace mas
