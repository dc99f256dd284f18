// The shape of a GPT over token streams, as far as the engine needs it. mas_fast/models/gpt.py
// defines the model.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "packed.h"

namespace mas {

struct StreamShape {
  std::string name;
  int length = 0, vocab = 0;
  int height = 0, width = 0;  // of its grid; 0 without one
};

// What a position sees; mas_fast/ops/reference/attention.py defines the masks.
enum class Mask { causal, row, column, conv };

const char* mask_name(Mask mask);
Mask parse_mask(std::string_view name);  // throws std::invalid_argument naming those that exist

struct Config {
  int dim = 0, layers = 0, heads = 0, mlp = 0;
  bool qk_norm = false;
  float norm_eps = 1e-5f;
  std::vector<StreamShape> streams;
  DType dtype = DType::fp32;
  DType kv_dtype = DType::fp32;
  std::vector<Mask> attention;  // one per layer; empty: all are causal
  int conv_kernel = 11;         // the side of the square that Mask::conv shows

  int head_dim() const { return dim / heads; }
  int length() const;  // of a whole sequence
  int largest_vocab() const;
  Mask mask(int layer) const { return attention.empty() ? Mask::causal : attention[layer]; }
  int stream_at(int position) const;  // the stream that holds the token at `position`
  int offset(int stream) const;       // the position of its first token

  // Throws std::invalid_argument naming the field, the value found and those allowed.
  void check() const;
};

}  // namespace mas
