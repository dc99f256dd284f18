#include "run.h"

#include <algorithm>
#include <stdexcept>

#include "batch.h"
#include "visible.h"

namespace mas {

Run::Run(std::shared_ptr<Engine> engine, Request request)
    : engine_(std::move(engine)), request_(std::move(request)) {
  const Config& config = engine_->config();
  request_.check(config);
  const int rows = request_.guided() ? 2 : 1;
  for (int prompt = 0; prompt < request_.prompts; ++prompt)
    for (int sample = 0; sample < request_.samples; ++sample) {
      Sequence sequence{prompt, request_.first_sample + uint32_t(sample)};
      const auto forced = request_.forced.begin() + size_t(prompt) * config.length();
      sequence.tokens.assign(forced, forced + request_.stop);
      sequence.guesses.assign(request_.stop, -1);
      for (int row = 0; row < rows; ++row) {
        sequence.rows.push_back(std::make_unique<Row>());
        sequence.rows.back()->cache = KvCache(config, request_.stop);
      }
      while (sequence.known < request_.stop && is_forced(sequence, sequence.known))
        ++sequence.known;
      sequence.first_drawn = sequence.known;
      sequences_.push_back(std::move(sequence));
    }
  share_prefixes();
}

// Each prompt is read once for all its samples, and a null caption once for all prompts that have
// it.
void Run::share_prefixes() {
  const int caption = engine_->config().streams[0].length;
  const auto null = [&](int prompt) { return request_.null.begin() + size_t(prompt) * caption; };
  for (int s = 1; s < int(sequences_.size()); ++s) {
    Sequence& sequence = sequences_[s];
    const int first = s - s % request_.samples;  // of its prompt
    for (int row = 0; row < int(sequence.rows.size()); ++row) {
      Row& follower = *sequence.rows[row];
      if (first != s) {
        follower.leader = first;
        follower.shared = sequence.known - 1;
      } else if (row == 1 && std::equal(null(0), null(1), null(sequence.prompt))) {
        follower.leader = 0;
        follower.shared = std::min({caption, sequence.known - 1, sequences_[0].known - 1});
      }
      if (follower.shared <= 0) follower.leader = -1;
      if (follower.leader >= 0) ++sequences_[follower.leader].rows[row]->followers;
    }
  }
}

// A row takes over what it shares with its leader once that has read it. A leader that knows
// `target` positions reads no more; the row then reads for itself.
void Run::follow(Sequence& sequence, int row, int target) {
  Row& follower = *sequence.rows[row];
  if (follower.leader < 0) return;
  const Sequence& leader = sequences_[follower.leader];
  Row& from = *leader.rows[row];
  if (from.done < follower.shared && leader.known < target) return;  // it will
  if (from.done >= follower.shared) {
    follower.cache.copy(from.cache, slots(engine_->config(), follower.shared));
    follower.done = follower.shared;
  }
  follower.leader = -1;
  --from.followers;
}

void Run::keep(const std::vector<int>& sequences) {
  const EngineLock engine_lock(*engine_);
  const std::lock_guard lock(mutex_);
  const int count = int(sequences_.size());
  std::vector<bool> taken(count);
  if (sequences.empty()) throw std::invalid_argument("rows: found none, expected some");
  for (const int index : sequences) {
    if (index < 0 || index >= count || taken[index])
      throw std::invalid_argument("rows: found " + std::to_string(index) + ", expected 0 to " +
                                  std::to_string(count - 1) + ", each at most once");
    taken[index] = true;
  }
  for (Sequence& sequence : sequences_)  // a leader may go
    for (int row = 0; row < int(sequence.rows.size()); ++row) follow(sequence, row, 0);
  std::vector<Sequence> kept;
  for (const int index : sequences) kept.push_back(std::move(sequences_[index]));
  sequences_ = std::move(kept);
}

int Run::position() const {
  const std::lock_guard lock(mutex_);
  int least = request_.stop;
  for (const Sequence& sequence : sequences_) least = std::min(least, sequence.known);
  return least;
}

int Run::passes() const {
  const std::lock_guard lock(mutex_);
  return passes_;
}

int Run::sequences() const {
  const std::lock_guard lock(mutex_);
  return int(sequences_.size());
}

std::string Run::error() const {
  const std::lock_guard lock(mutex_);
  return error_;
}

std::vector<int32_t> Run::tokens() const {
  const std::lock_guard lock(mutex_);
  const int length = engine_->config().length();
  std::vector<int32_t> tokens(sequences_.size() * length, -1);
  for (size_t s = 0; s < sequences_.size(); ++s)
    std::copy_n(sequences_[s].tokens.begin(), sequences_[s].known, tokens.begin() + s * length);
  return tokens;
}

std::vector<double> Run::forced_log_likelihood() const {
  const std::lock_guard lock(mutex_);
  std::vector<double> sums;
  for (const Sequence& sequence : sequences_) sums.push_back(sequence.forced_log_likelihood);
  return sums;
}

bool Run::is_forced(const Sequence& sequence, int position) const {
  return request_.forced[size_t(sequence.prompt) * engine_->config().length() + position] >= 0;
}

bool Run::is_scored(const Sequence& sequence, int position) const {
  return request_.score_forced && position > sequence.first_drawn && is_forced(sequence, position);
}

int32_t Run::token(const Sequence& sequence, int row, int position) const {
  const int caption = engine_->config().streams[0].length;
  if (row == 1 && position < caption)
    return request_.null[size_t(sequence.prompt) * caption + position];
  const int32_t token = sequence.tokens[position];
  return token >= 0 ? token : sequence.guesses[position];
}

// Guesses the positions of [known, last) that have no guess yet: as the token to the left.
void Run::guess(Sequence& sequence, int last) const {
  const Config& config = engine_->config();
  for (int position = sequence.known; position < last; ++position)
    if (int32_t& to = sequence.guesses[position]; to < 0) {
      const bool has_left =
          position > 0 && config.stream_at(position - 1) == config.stream_at(position);
      to = has_left ? token(sequence, 0, position - 1) : 0;
    }
}

// Takes over what was drawn from sequence.known on: a position counts where the guesses of all
// positions before it were right, the rest are the next guesses. A logit that counts and is NaN is
// left to the next pass, whose first position it is, and then ends the run. Returns how many
// positions count.
int Run::accept(Sequence& sequence, std::span<const Drawn> drawn) {
  const std::lock_guard lock(mutex_);
  const int first = sequence.known;
  if (drawn[0].token < 0) {
    error_ = "sequence " + std::to_string(&sequence - sequences_.data()) + ", position " +
             std::to_string(first) + ": the logit of token " + std::to_string(-1 - drawn[0].token) +
             ": found NaN, expected a number or an infinity";
    return 0;
  }
  int count = 0;
  bool right = true;
  for (int index = 0; index < int(drawn.size()); ++index) {
    const int position = first + index;
    const auto [token, log_probability] = drawn[index];
    right = right && token >= 0;
    const bool same = token == this->token(sequence, 0, position);  // what was read there
    if (right) {
      sequence.tokens[position] = token;
      sequence.forced_log_likelihood += log_probability;
      ++count;
    } else if (sequence.tokens[position] < 0) {
      sequence.guesses[position] = std::max(token, 0);
    }
    right = right && same;
  }
  sequence.known = first + count;
  for (auto& row : sequence.rows) row->done = sequence.known - 1;
  while (sequence.known < request_.stop && is_forced(sequence, sequence.known) &&
         !is_scored(sequence, sequence.known))
    ++sequence.known;
  return count;
}

int Run::advance(int count, const std::function<bool(int, int)>& step) {
  if (count < 0)
    throw std::invalid_argument("count: found " + std::to_string(count) +
                                ", expected 0 (to the end) or more");
  const int target = count ? int(std::min<int64_t>(stop(), int64_t(position()) + count)) : stop();
  Run* const runs[] = {this};
  if (error().empty())
    mas::advance(*engine_, runs, target,
                 [&] { return error().empty() && (!step || step(position(), stop())); });
  if (const std::string found = error(); !found.empty()) throw std::domain_error(found);
  return position();
}

}  // namespace mas
