#include "request.h"

#include <algorithm>
#include <stdexcept>
#include <string>

#include "speculation.h"

namespace mas {

namespace {

constexpr int kMostRows = 1 << 14;

void require(bool fine, const std::string& name, int64_t value, const std::string& allowed) {
  if (!fine)
    throw std::invalid_argument(name + ": found " + std::to_string(value) + ", expected " +
                                allowed);
}

std::string up_to(int64_t first, int64_t last) {
  return std::to_string(first) + " to " + std::to_string(last);
}

}  // namespace

bool Request::guided() const {
  return std::any_of(sampling.begin(), sampling.end(),
                     [](const Sampling& s) { return s.guidance != 1; });
}

void Request::check(const Config& config) const {
  const int length = config.length();
  require(prompts >= 1, "the number of prompts", prompts, "1 or more");
  require(samples >= 1, "samples", samples, "1 or more");
  require(int64_t(prompts) * samples <= kMostRows, "prompts x samples", int64_t(prompts) * samples,
          "at most " + std::to_string(kMostRows));
  require(int64_t(first_sample) + samples <= int64_t(1) << 32, "first_sample + samples",
          int64_t(first_sample) + samples, "at most 2^32");
  require(window >= 0 && window <= Speculation::kWidest, "window", window,
          up_to(0, Speculation::kWidest));
  require(stop >= 1 && stop <= length, "stop", stop, up_to(1, length));
  require(forced.size() == size_t(prompts) * length, "the number of forced tokens",
          int64_t(forced.size()), std::to_string(size_t(prompts) * length));
  const size_t caption = config.streams[0].length;
  require(null.empty() || null.size() == prompts * caption, "the number of null tokens",
          int64_t(null.size()), "0 or " + std::to_string(prompts * caption));
  require(sampling.size() == size_t(length), "the number of sampling settings",
          int64_t(sampling.size()), std::to_string(length) + ", one a position");
  for (const Sampling& settings : sampling) mas::check(settings);
  if (guided() && null.empty())
    throw std::invalid_argument("null: found no caption, expected one, as guidance is not 1");
  for (int position = 0; position < length; ++position) {
    const StreamShape& stream = config.streams[config.stream_at(position)];
    const std::string location =
        "at position " + std::to_string(position) + " (stream '" + stream.name + "')";
    for (int prompt = 0; prompt < prompts; ++prompt) {
      const int32_t token = forced[size_t(prompt) * length + position];
      require(token >= -1 && token < stream.vocab,
              "prompt " + std::to_string(prompt) + ": the token " + location, token,
              up_to(0, stream.vocab - 1) + ", or -1 to draw it");
      require(position > 0 || token >= 0, "prompt " + std::to_string(prompt) + "'s first token",
              token, up_to(0, stream.vocab - 1));
    }
    for (size_t at = position; size_t(position) < caption && at < null.size(); at += caption)
      require(null[at] >= 0 && null[at] < stream.vocab, "the null caption's token " + location,
              null[at], up_to(0, stream.vocab - 1));
  }
}

}  // namespace mas
