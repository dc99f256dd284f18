#include "config.h"

#include <algorithm>
#include <set>
#include <stdexcept>

namespace mas {

namespace {

constexpr int kMostHeadDim = 256, kMostLength = 1 << 20, kMostVocab = 1 << 22, kMostDim = 1 << 16,
              kMostLayers = 1024;

void require(bool fine, const std::string& field, const std::string& value,
             const std::string& allowed) {
  if (!fine) throw std::invalid_argument(field + ": found " + value + ", expected " + allowed);
}

void require_range(const std::string& field, int value, int most) {
  require(value >= 1 && value <= most, field, std::to_string(value),
          "1 to " + std::to_string(most));
}

constexpr const char* kMaskNames[] = {"causal", "row", "column", "conv"};

// Under a mask other than the causal one, everything before the first grid is the text, and grids
// follow one another to the end.
void check_attention(const Config& config) {
  const std::vector<Mask>& masks = config.attention;
  require(masks.empty() || int(masks.size()) == config.layers, "attention",
          std::to_string(masks.size()) + " masks", std::to_string(config.layers) + ", one a layer");
  require(config.conv_kernel >= 1 && config.conv_kernel <= kMostLength && config.conv_kernel % 2,
          "conv_kernel", std::to_string(config.conv_kernel),
          "odd numbers up to " + std::to_string(kMostLength));
  const auto differs =
      std::find_if(masks.begin(), masks.end(), [](Mask mask) { return mask != Mask::causal; });
  if (differs == masks.end()) return;
  const std::string expected = std::string("a grid for the last streams, and none before, for '") +
                               mask_name(*differs) + "'";
  bool grids = false;
  for (const StreamShape& stream : config.streams) {
    require(!grids || stream.height, "stream '" + stream.name + "' after a grid", "one without",
            expected);
    grids = stream.height;
  }
  require(grids, "the last stream", "one without a grid", expected);
}

}  // namespace

const char* mask_name(Mask mask) { return kMaskNames[int(mask)]; }

Mask parse_mask(std::string_view name) {
  std::string known;
  for (Mask mask : {Mask::causal, Mask::row, Mask::column, Mask::conv}) {
    if (name == mask_name(mask)) return mask;
    known += (known.empty() ? "" : ", ") + std::string(mask_name(mask));
  }
  throw std::invalid_argument("attention: found '" + std::string(name) + "', expected one of " +
                              known);
}

int Config::length() const {
  int total = 0;
  for (const StreamShape& stream : streams) total += stream.length;
  return total;
}

int Config::largest_vocab() const {
  int most = 0;
  for (const StreamShape& stream : streams) most = std::max(most, stream.vocab);
  return most;
}

int Config::offset(int stream) const {
  int first = 0;
  for (int i = 0; i < stream; ++i) first += streams[i].length;
  return first;
}

int Config::stream_at(int position) const {
  int stream = 0;
  for (int end = streams[0].length; position >= end; end += streams[stream].length) ++stream;
  return stream;
}

void Config::check() const {
  require_range("dim", dim, kMostDim);
  require_range("layers", layers, kMostLayers);
  require_range("mlp", mlp, 4 * kMostDim);
  require(heads >= 1 && heads <= dim && dim % heads == 0 && dim / heads <= kMostHeadDim, "heads",
          std::to_string(heads),
          "divisors of dim (" + std::to_string(dim) + ") that leave at most " +
              std::to_string(kMostHeadDim) + " channels a head");
  require(kv_dtype != DType::int4, "kv_dtype", "int4", "one of fp32, bf16, int8");
  require(norm_eps > 0 && norm_eps < 1, "norm_eps", std::to_string(norm_eps), "between 0 and 1");
  require(!streams.empty() && streams.size() <= 64, "streams",
          std::to_string(streams.size()) + " streams", "1 to 64");
  std::set<std::string> names;
  int64_t total = 0;
  for (const StreamShape& stream : streams) {
    require(!stream.name.empty() && names.insert(stream.name).second, "a stream's name",
            "'" + stream.name + "'", "a name that is not empty and not taken twice");
    require_range("stream '" + stream.name + "' length", stream.length, kMostLength);
    require_range("stream '" + stream.name + "' vocab", stream.vocab, kMostVocab);
    const int64_t cells = int64_t(stream.height) * stream.width;
    require((!stream.height && !stream.width) ||
                (stream.height > 0 && stream.width > 0 && cells == stream.length),
            "stream '" + stream.name + "' grid",
            std::to_string(stream.height) + " x " + std::to_string(stream.width),
            "height x width = " + std::to_string(stream.length));
    total += stream.length;
  }
  require(total <= kMostLength, "the sum of stream lengths", std::to_string(total),
          "at most " + std::to_string(kMostLength));
  check_attention(*this);
}

}  // namespace mas
