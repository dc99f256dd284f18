#include "vq.h"

#include <algorithm>
#include <limits>
#include <stdexcept>
#include <string>

namespace mas {

namespace {

int in_range(const char* name, int64_t value, int64_t most) {
  if (value < 1 || value > most)
    throw std::invalid_argument(std::string(name) + ": found " + std::to_string(value) +
                                ", expected 1 to " + std::to_string(most));
  return static_cast<int>(value);
}

// The mean of up to 1024 of the codes. Any point would do, but distances to a point among the codes
// are short, and so quantization errors are small.
std::vector<double> centre_of(const float* codes, int64_t count, int64_t channels) {
  std::vector<double> centre(static_cast<size_t>(round_up(static_cast<int>(channels), 8)));
  const int64_t samples = std::min<int64_t>(count, 1024);
  for (int64_t sample = 0; sample < samples; ++sample) {
    const float* code = codes + sample * count / samples * channels;
    for (int64_t i = 0; i < channels; ++i) centre[i] += code[i];
  }
  for (double& value : centre) value /= static_cast<double>(samples);
  return centre;
}

}  // namespace

int32_t vq_nearest_of(const VqCodes& codes, const float* x, const int32_t* ids, int count) {
  double least = std::numeric_limits<double>::infinity();
  int32_t nearest = std::numeric_limits<int32_t>::max();
  for (int i = 0; i < count; ++i) {
    const float* code = codes.codes + size_t(ids[i]) * codes.channels;
    double sum = 0;
    for (int channel = 0; channel < codes.channels; ++channel) {
      const double difference = double(x[channel]) - double(code[channel]);
      sum += difference * difference;
    }
    if (sum < least || (sum == least && ids[i] < nearest)) {
      least = sum;
      nearest = ids[i];
    }
  }
  return nearest;
}

VqCodebook::VqCodebook(const float* codes, int64_t count, int64_t channels, Isa isa)
    : rows_(MAS_CHOOSE(isa, vq_rows)) {
  codes_.count = in_range("the number of codes", count, 1 << 30);
  codes_.channels = in_range("the number of channels", channels, kVqMaxChannels);
  centre_ = centre_of(codes, count, channels);
  panels_ = Buffer(sizeof(VqPanel) * panels());
  bytes_ = Buffer(codes_.panel_bytes() * panels());
  codes_.codes = codes;
  codes_.centre = centre_.data();
  codes_.panels = panels_.as<VqPanel>();
  codes_.bytes = bytes_.as<char>();
}

void VqCodebook::pack(int first, int last) {
  std::vector<double> scratch(static_cast<size_t>(codes_.padded()));
  for (int index = first; index < last; ++index)
    if (!rows_.pack(codes_, index, scratch.data())) finite_ = false;
}

void VqCodebook::nearest(const float* x, int64_t rows, int64_t* out) const {
  Buffer scratch(rows_.scratch_bytes(codes_.channels));
  for (int64_t first = 0; first < rows; first += kVqTile)
    rows_.nearest(codes_, x + first * codes_.channels,
                  static_cast<int>(std::min<int64_t>(kVqTile, rows - first)), scratch.as<char>(),
                  out + first);
}

}  // namespace mas
