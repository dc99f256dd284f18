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
  cache_ = KvCache(config, rows, request_.stop);
  logits_.resize(size_t(rows) * config.largest_vocab());
  scratch_bytes_ = (sampler_scratch_bytes(config.largest_vocab()) + 63) / 64 * 64;
  scratch_ = Buffer(scratch_bytes_ * engine_->pool().size());
  errors_.resize(engine_->pool().size());
  extend();
}

int32_t Run::token(int row, int position) const {
  const int sequence = row % sequences();
  if (row >= sequences() && size_t(position) < request_.null.size()) return request_.null[position];
  return tokens_[size_t(sequence) * engine_->config().length() + position];
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
        [&](int thread) { engine_->forward(thread, cache_, now.entries, now.positions > 1, {}); },
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

// Plans the next pass: the known tokens that the cache lacks, and, if the pass reaches it, the
// logits of the first unknown position.
void Run::plan() {
  step_ = pass(rows_, done_, known_);
  if (done_ + step_.positions < known_) return;
  const int stream = engine_->config().stream_at(known_), count = int(rows_.size());
  step_.logits_requests.push_back({stream, int(step_.entries.size()) - count, count, logits_.data(),
                                   engine_->config().streams[stream].vocab});
}

void Run::draw(int thread) {
  const int stream = engine_->config().stream_at(known_),
            vocab = engine_->config().streams[stream].vocab;
  const int length = engine_->config().length();
  const Sampling& settings = request_.sampling[stream];
  for (int sequence = thread; sequence < sequences(); sequence += engine_->pool().active()) {
    if (is_forced(sequence, known_)) continue;
    const float* conditional = logits_.data() + size_t(sequence) * vocab;
    const float* unconditional =
        settings.guidance != 1 ? conditional + size_t(sequences()) * vocab : nullptr;
    const Draw draw{request_.seed, request_.first_sample + uint32_t(sequence % request_.samples),
                    uint32_t(known_)};
    const int32_t drawn =
        sample_or_nan(conditional, unconditional, vocab, settings, draw,
                      scratch_.as<char>() + thread * scratch_bytes_, nullptr, engine_->isa());
    if (drawn < 0)
      errors_[thread] = "sequence " + std::to_string(sequence) + ", position " +
                        std::to_string(known_) + ": the logit of token " +
                        std::to_string(-1 - drawn) +
                        ": found NaN, expected a number or an infinity";
    tokens_[size_t(sequence) * length + known_] = std::max(drawn, -1);
  }
}

int Run::advance(int count, const std::function<bool(int, int)>& step) {
  require(count >= 0, "count", count, "0 (to the end) or more");
  const EngineLock lock(*engine_);
  const int target =
      count ? int(std::min<int64_t>(request_.stop, int64_t(known_) + count)) : request_.stop;
  check_errors();
  if (known_ >= target) return known_;
  if (!done_ && known_ > 1 && !share_prompts(step)) return known_;
  engine_->reserve(std::max(kChunk, int(rows_.size())), request_.stop);
  plan();

  ThreadPool& pool = engine_->pool();
  Pace& pace = engine_->pace();
  bool going = true, steady = true;
  std::exception_ptr thrown;
  auto finish = [&] {  // thread 0, between two passes
    done_ += step_.positions;
    for (const std::string& error : errors_)
      if (!error.empty()) return false;
    if (!step_.logits_requests.empty()) {
      ++known_;
      extend();
      try {
        if (step && !step(known_, request_.stop)) return false;
      } catch (...) {
        thrown = std::current_exception();
        return false;
      }
    }
    if (known_ >= target) return false;
    plan();
    return true;
  };
  const auto passes = [&](int thread) {
    do {
      engine_->forward(thread, cache_, step_.entries, step_.positions > 1, step_.logits_requests);
      if (!step_.logits_requests.empty()) draw(thread);
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
  check_errors();
  return known_;
}

void Run::check_errors() const {
  for (const std::string& error : errors_)
    if (!error.empty()) throw std::domain_error(error);
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
          [&](int thread) {
            engine.forward(thread, cache, entries, entries.size() > 1, logits_requests);
          },
          engine.pace().alone());
      engine.pace().passed();
      if (between) between();
    }
}

}  // namespace mas
