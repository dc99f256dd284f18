#include "run.h"

#include <algorithm>
#include <exception>
#include <numeric>
#include <stdexcept>

#include "visible.h"

namespace mas {

namespace {

// Tokens in one prefill pass: enough for the products to be compute-bound, few enough for a stop to
// be prompt.
constexpr int kChunk = 64;
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
  require(null.size() <= size_t(length), "the length of the null caption", int64_t(null.size()),
          up_to(0, length));
  require(sampling.size() == config.streams.size(), "the number of sampling settings",
          int64_t(sampling.size()), std::to_string(config.streams.size()) + ", one a stream");
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
    if (size_t(position) < null.size())
      require(null[position] >= 0 && null[position] < stream.vocab,
              "the null caption's token " + location, null[position], up_to(0, stream.vocab - 1));
  }
}

Run::Run(std::shared_ptr<Engine> engine, Request request)
    : engine_(std::move(engine)), request_(std::move(request)) {
  const Config& config = engine_->config();
  request_.check(config);
  const int length = config.length(), rows = sequences() * (request_.guided() ? 2 : 1);
  rows_.resize(rows);
  std::iota(rows_.begin(), rows_.end(), 0);
  for (int sequence = 0; sequence < sequences(); ++sequence) {
    const auto prompt = request_.forced.begin() + size_t(sequence / request_.samples) * length;
    tokens_.insert(tokens_.end(), prompt, prompt + request_.stop);
    tokens_.insert(tokens_.end(), length - request_.stop, -1);
  }
  guesses_.assign(tokens_.size(), -1);
  cache_ = KvCache(config, rows, request_.stop);
  scratch_bytes_ = (sampler_scratch_bytes(config.largest_vocab()) + 63) / 64 * 64;
  scratch_ = Buffer(scratch_bytes_ * engine_->pool().size());
  extend();
}

int32_t& Run::at(std::vector<int32_t>& tokens, int sequence, int position) const {
  return tokens[size_t(sequence) * engine_->config().length() + position];
}

int32_t Run::token(int row, int position) const {
  const int sequence = row % sequences();
  if (row >= sequences() && size_t(position) < request_.null.size()) return request_.null[position];
  const size_t index = size_t(sequence) * engine_->config().length() + position;
  return tokens_[index] >= 0 ? tokens_[index] : guesses_[index];
}

bool Run::is_forced(int sequence, int position) const {
  return request_
             .forced[size_t(sequence / request_.samples) * engine_->config().length() + position] >=
         0;
}

// Counts the positions that are forced in every sequence as known.
void Run::extend() {
  while (known_ < request_.stop) {
    for (int prompt = 0; prompt < request_.prompts; ++prompt)
      if (!is_forced(prompt * request_.samples, known_)) return;
    ++known_;
  }
}

// Guesses the positions of [known_, last) that have no guess yet: as the token to the left.
void Run::guess(int last) {
  const Config& config = engine_->config();
  for (int position = known_; position < last; ++position) {
    const int stream = config.stream_at(position);
    const bool has_left = position > 0 && config.stream_at(position - 1) == stream;
    for (int sequence = 0; sequence < sequences(); ++sequence)
      if (int32_t& to = at(guesses_, sequence, position); to < 0)
        to = has_left ? token(sequence, position - 1) : 0;
  }
}

// As many positions of [first, last) for `rows` as one pass takes, position by position.
Run::Step Run::pass(const std::vector<int>& rows, int first, int last) const {
  Step step;
  step.positions = std::min(last - first, std::max(1, kChunk / int(rows.size())));
  for (int position = first; position < first + step.positions; ++position)
    for (int row : rows) step.entries.push_back({token(row, position), position, row});
  return step;
}

bool Run::prefill(const std::vector<int>& rows, int first, int last,
                  const std::function<bool(int, int)>& step) {
  while (first < last) {
    const Step now = pass(rows, first, last);
    engine_->reserve(int(now.entries.size()), request_.stop);
    engine_->pool().run(
        [&](int thread) { engine_->forward(thread, cache_, now.entries, int(rows.size()), {}); },
        engine_->pace().alone());
    first += now.positions;
    if (step && !step(first, request_.stop)) return false;
  }
  return true;
}

// Fills the cache with all known tokens but the last: each prompt is read once for all its samples,
// and the null caption once for all prompts.
bool Run::share_prompts(const std::function<bool(int, int)>& step) {
  const Config& config = engine_->config();
  const int last = known_ - 1, guided = int(rows_.size()) / sequences() - 1;
  std::vector<int> first_rows;
  for (int row = 0; row < int(rows_.size()); row += request_.samples) first_rows.push_back(row);
  const int null = guided ? std::min(int(request_.null.size()), last) : 0;
  if (null) {
    if (!prefill({sequences()}, 0, null, {})) return false;
    for (int prompt = 1; prompt < request_.prompts; ++prompt)
      cache_.copy(sequences(), sequences() + prompt * request_.samples, slots(config, null));
  }
  const std::vector<int> conditional(first_rows.begin(), first_rows.begin() + request_.prompts);
  if (!prefill(conditional, 0, null, step) || !prefill(first_rows, null, last, step)) return false;
  for (int row : first_rows)
    for (int sample = 1; sample < request_.samples; ++sample)
      cache_.copy(row, row + sample, slots(config, last));
  done_ = last;
  return true;
}

float* Run::logits(int index, int row) const {
  const Config& config = engine_->config();
  const auto& of = logits_[index];
  return const_cast<float*>(of.data()) +
         size_t(row) * config.streams[config.stream_at(known_ + index)].vocab;
}

// Plans the next pass: the known tokens that the cache lacks, and, if the pass reaches them,
// guesses for a window of positions and the logits that follow each of these tokens.
void Run::plan(int target) {
  const Config& config = engine_->config();
  const int rows = int(rows_.size()), room = std::max(1, kChunk / rows);  // positions in a pass
  const int behind = known_ - done_;
  if (behind > room) {
    step_ = pass(rows_, done_, known_);
    step_.window = 0;
    return;
  }
  const int most = std::min(target - known_, room - behind + 1);
  const int window =
      std::min(most, request_.window ? request_.window
                                     : engine_->speculation(config.stream_at(known_)).width(most));
  guess(known_ + window - 1);
  step_ = pass(rows_, done_, known_ + window - 1);
  step_.window = window;
  if (window > int(logits_.size())) logits_.resize(window);
  drawn_.resize(size_t(window) * sequences());
  for (int index = 0; index < window; ++index) {
    const int stream = config.stream_at(known_ + index), vocab = config.streams[stream].vocab;
    logits_[index].resize(size_t(rows) * config.largest_vocab());
    step_.logits_requests.push_back(
        {stream, (behind - 1 + index) * rows, rows, logits_[index].data(), vocab});
  }
}

void Run::draw(int thread) {
  const Config& config = engine_->config();
  for (int unit = thread; unit < step_.window * sequences(); unit += engine_->pool().active()) {
    const int index = unit / sequences(), sequence = unit % sequences(), position = known_ + index;
    int32_t& drawn = drawn_[unit];
    if (is_forced(sequence, position)) {
      drawn = token(sequence, position);
      continue;
    }
    const int stream = config.stream_at(position), vocab = config.streams[stream].vocab;
    const Sampling& settings = request_.sampling[stream];
    const Draw draw{request_.seed, request_.first_sample + uint32_t(sequence % request_.samples),
                    uint32_t(position)};
    drawn = sample_or_nan(logits(index, sequence),
                          settings.guidance != 1 ? logits(index, sequence + sequences()) : nullptr,
                          vocab, settings, draw, scratch_.as<char>() + thread * scratch_bytes_,
                          nullptr, engine_->isa());
  }
}

// Takes over what the pass has drawn: a position counts where the guesses of all positions before
// it were right in every sequence, the rest are the next guesses. A logit that counts and is NaN is
// left to the next pass, whose first position it is; then this returns false.
bool Run::accept() {
  const int first = known_;
  int count = 0;
  bool right = true;
  for (int index = 0; index < step_.window; ++index) {
    const int position = first + index;
    const auto drawn = drawn_.begin() + ptrdiff_t(index) * sequences();
    const auto nan =
        std::find_if(drawn, drawn + sequences(), [](int32_t token) { return token < 0; });
    if (nan != drawn + sequences()) {
      if (index == 0) {
        error_ = "sequence " + std::to_string(nan - drawn) + ", position " +
                 std::to_string(position) + ": the logit of token " + std::to_string(-1 - *nan) +
                 ": found NaN, expected a number or an infinity";
        return false;
      }
      right = false;
    }
    bool same = true;  // what was read at this position
    for (int sequence = 0; sequence < sequences(); ++sequence) {
      same = same && drawn[sequence] == token(sequence, position);
      if (right)
        at(tokens_, sequence, position) = drawn[sequence];
      else if (at(tokens_, sequence, position) < 0)
        at(guesses_, sequence, position) = std::max(drawn[sequence], 0);
    }
    count += right;
    right = right && same;
  }
  known_ = first + count;
  done_ = known_ - 1;
  ++passes_;
  if (step_.positions == step_.window)  // and read no given tokens besides
    engine_->speculation(engine_->config().stream_at(first))
        .passed(step_.window, count, engine_->pace().last());
  extend();
  return true;
}

int Run::advance(int count, const std::function<bool(int, int)>& step) {
  require(count >= 0, "count", count, "0 (to the end) or more");
  const EngineLock lock(*engine_);
  const int target =
      count ? int(std::min<int64_t>(request_.stop, int64_t(known_) + count)) : request_.stop;
  check_error();
  if (known_ >= target) return known_;
  if (!done_ && known_ > 1 && !share_prompts(step)) return known_;
  engine_->reserve(std::max(kChunk, int(rows_.size())), request_.stop);
  for (int stream = 0; stream < int(engine_->config().streams.size()); ++stream)
    engine_->speculation(stream).begin(int(rows_.size()));
  plan(target);

  ThreadPool& pool = engine_->pool();
  Pace& pace = engine_->pace();
  bool going = true, steady = true;
  std::exception_ptr thrown;
  auto finish = [&] {  // thread 0, between two passes
    done_ += step_.positions;
    if (step_.window) {
      if (!accept()) return false;
      try {
        if (step && !step(known_, request_.stop)) return false;
      } catch (...) {
        thrown = std::current_exception();
        return false;
      }
    }
    if (known_ >= target) return false;
    plan(target);
    return true;
  };
  const auto passes = [&](int thread) {
    do {
      engine_->forward(thread, cache_, step_.entries, int(rows_.size()), step_.logits_requests);
      if (step_.window) draw(thread);
      pool.barrier(engine_->first_weights(thread));  // before thread 0 changes step_
      if (thread == 0) {
        steady = pace.passed();
        going = finish();
        pace.start();
      }
      pool.barrier(engine_->first_weights(thread));
    } while (going && steady);
  };
  pace.begin();
  while (going) pool.run(passes, pace.alone());
  if (thrown) std::rethrow_exception(thrown);
  check_error();
  return known_;
}

void Run::check_error() const {
  if (!error_.empty()) throw std::domain_error(error_);
}

int predicted(const Config& config, int stream, int length) {
  const int first = std::max(1, config.offset(stream)),
            end = config.offset(stream) + config.streams[stream].length;
  return std::max(0, std::min(end, length + 1) - first);
}

void teacher_logits(Engine& engine, const int32_t* tokens, int count, int length,
                    const std::vector<float*>& out, const std::function<void()>& between) {
  const Config& config = engine.config();
  const EngineLock lock(engine);
  engine.reserve(kChunk, length);
  KvCache cache(config, 1, length);
  engine.pace().begin();
  for (int sequence = 0; sequence < count; ++sequence)
    for (int first = 0; first < length; first += kChunk) {
      const int last = std::min(length, first + kChunk);
      std::vector<BatchEntry> entries;
      for (int position = first; position < last; ++position)
        entries.push_back({tokens[size_t(sequence) * length + position], position, 0});
      std::vector<LogitsRequest> logits_requests;
      for (int position = first; position < last && position + 1 < config.length(); ++position) {
        const int stream = config.stream_at(position + 1), vocab = config.streams[stream].vocab;
        if (logits_requests.empty() || logits_requests.back().stream != stream) {
          const int row = position + 1 - std::max(1, config.offset(stream));
          float* to =
              out[stream] + (size_t(sequence) * predicted(config, stream, length) + row) * vocab;
          logits_requests.push_back({stream, position - first, 0, to, vocab});
        }
        ++logits_requests.back().count;
      }
      engine.pace().start();
      engine.pool().run(
          [&](int thread) { engine.forward(thread, cache, entries, 1, logits_requests); },
          engine.pace().alone());
      engine.pace().passed();
      if (between) between();
    }
}

}  // namespace mas
