// A generation in progress: the sequences of one request, each at a position of its own. Passes
// over the weights (batch.h) may be shared with other runs.
//
// Forced tokens are taken as given, the others are drawn. With classifier-free guidance (CFG) a
// sequence has two rows, each with its cache: the second one reads the null caption; the sampler
// mixes the logits of the two.
//
// A pass may verify a window of guesses (Jacobi decoding; Santilli et al. 2023, arXiv 2305.10427):
// it reads the guesses of several positions and draws each of them with its own random numbers. As
// long as guesses equal what is drawn, the next token is drawn from what it would have been drawn
// from one by one, so the tokens are the same, bit for bit, at any width. What is drawn after the
// first wrong guess is the guess of the next pass.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <string>
#include <vector>

#include "engine.h"
#include "request.h"

namespace mas {

class Run {
 public:
  Run(std::shared_ptr<Engine> engine, Request request);  // throws as Request::check

  // Continues until `count` more positions are known in every sequence (all of them if count is 0),
  // or until step(position, stop), which the calling thread calls after each pass, returns false.
  // Returns position(). Throws std::domain_error if a logit is NaN, which ends the run, and
  // std::logic_error as EngineLock does.
  int advance(int count, const std::function<bool(int, int)>& step);

  // Goes on with some sequences alone, in this order. Throws std::invalid_argument for an index
  // that is out of range or there twice.
  void keep(const std::vector<int>& sequences);

  int position() const;  // the positions known in every sequence
  int passes() const;    // that drew tokens
  int sequences() const;
  int stop() const { return request_.stop; }
  Engine& engine() const { return *engine_; }
  std::string error() const;            // what ended the run; empty: nothing
  std::vector<int32_t> tokens() const;  // [sequences, length], -1 where not yet known
  // With score_forced, for each sequence: the sum of the natural logarithms of the probabilities
  // (softmax of the conditional logits) of the tokens that are forced after the first one drawn.
  std::vector<double> forced_log_likelihood() const;

 private:
  friend class Batch;

  // A sequence as the GPT reads it: with its caption, or with the null caption.
  struct Row {
    KvCache cache;
    int done = 0;     // positions in the cache
    int leader = -1;  // the sequence whose row reads the same positions [0, shared) for this one
    int shared = 0;
    int followers = 0;  // rows that wait for this one
  };
  struct Sequence {
    int prompt;
    uint32_t sample;
    std::vector<int32_t> tokens = {};             // [stop], -1 where not yet known
    std::vector<int32_t> guesses = {};            // [stop], -1 where there is none
    std::vector<std::unique_ptr<Row>> rows = {};  // one, or with CFG two
    int known = 0;                                // positions
    int first_drawn = 0;
    double forced_log_likelihood = 0;
  };
  // A position of a window: what was drawn there.
  struct Drawn {
    int32_t token;               // -1 - i: the logit of token i is NaN
    double log_probability = 0;  // of a forced token that is scored
  };

  bool is_forced(const Sequence& sequence, int position) const;
  bool is_scored(const Sequence& sequence, int position) const;
  int32_t token(const Sequence& sequence, int row, int position) const;
  void share_prefixes();
  void follow(Sequence& sequence, int row, int target);
  void guess(Sequence& sequence, int last) const;
  int accept(Sequence& sequence, std::span<const Drawn> drawn);

  std::shared_ptr<Engine> engine_;
  Request request_;
  std::vector<Sequence> sequences_;
  int passes_ = 0;
  std::string error_;
  mutable std::mutex mutex_;  // of what the accessors read
};

}  // namespace mas
