// The generation of a batch of sequences: forced tokens are taken as given, the others are drawn.
// With classifier-free guidance (CFG) every sequence has an unconditional twin, which reads the
// null caption; the sampler mixes the logits of the two.
//
// A pass may verify a window of guesses (Jacobi decoding; Santilli et al. 2023, arXiv 2305.10427):
// it reads the guesses of several positions and draws each of them with its own random numbers. As
// long as guesses equal what is drawn, the next token is drawn from what it would have been drawn
// from one by one, so the tokens are the same, bit for bit, at any width. What is drawn after the
// first wrong guess is the guess of the next pass.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "engine.h"
#include "sampler.h"

namespace mas {

struct Request {
  int prompts = 0, samples = 1;  // `samples` sequences of each prompt
  std::vector<int32_t> forced;   // [prompts, length]: >= 0 fixes a token, -1 leaves it to be drawn
  std::vector<int32_t> null;     // the first tokens of the unconditional rows; empty: no CFG
  std::vector<Sampling> sampling;  // one per stream
  uint64_t seed = 0;
  uint32_t first_sample = 0;
  int stop = 0;    // positions to produce, 1 to length
  int window = 0;  // positions drawn in a pass; 0: as many as are fastest (speculation.h)

  // Throws std::invalid_argument naming the value found and those allowed.
  void check(const Config& config) const;
  bool guided() const;
};

class Run {
 public:
  Run(std::shared_ptr<Engine> engine, Request request);  // throws as check()

  // Continues until `count` more positions are known (all of them if count is 0), or until
  // step(position, stop), which the calling thread calls after each pass, returns false.
  // Returns the number of known positions. Throws std::domain_error if a logit is NaN, which ends
  // the run, and std::logic_error as EngineLock does.
  int advance(int count, const std::function<bool(int, int)>& step);

  int position() const { return known_; }
  int passes() const { return passes_; }  // that drew tokens
  int stop() const { return request_.stop; }
  int sequences() const { return request_.prompts * request_.samples; }
  // [sequences, length], -1 where not yet known.
  const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  struct Step {
    std::vector<BatchEntry> entries;
    std::vector<LogitsRequest> logits_requests;
    int positions = 0;
    int window = 0;  // positions from known_ on that are drawn
  };

  int32_t& at(std::vector<int32_t>& tokens, int sequence, int position) const;
  int32_t token(int row, int position) const;
  bool is_forced(int sequence, int position) const;
  float* logits(int index, int row) const;
  void extend();
  void guess(int last);
  bool accept();
  Step pass(const std::vector<int>& rows, int first, int last) const;
  bool prefill(const std::vector<int>& rows, int first, int last,
               const std::function<bool(int, int)>& step);
  bool share_prompts(const std::function<bool(int, int)>& step);
  void plan(int target);
  void draw(int thread);
  void check_error() const;

  std::shared_ptr<Engine> engine_;
  Request request_;
  KvCache cache_;             // rows: the sequences, then their unconditional twins
  std::vector<int> rows_;     // 0, 1, ...: all rows of the cache
  int known_ = 0, done_ = 0;  // positions known in every sequence; positions in the cache
  int passes_ = 0;
  std::vector<int32_t> tokens_;
  std::vector<int32_t> guesses_;  // [sequences, length], -1 where there is none
  std::vector<int32_t> drawn_;    // [window, sequences]; -1 - i: the logit of token i is NaN
  std::vector<std::vector<float>> logits_;  // of each position of the window: [rows, vocab]
  Step step_;
  size_t scratch_bytes_ = 0;
  Buffer scratch_;
  std::string error_;
};

// Teacher-forced logits of tokens [count, length], where length is at most that of a whole
// sequence. out[s] is [count, positions that predict stream s, vocab of s], and empty if there are
// none; stream 0 lacks its first position. The calling thread calls between() after each pass; it
// may throw.
void teacher_logits(Engine& engine, const int32_t* tokens, int count, int length,
                    const std::vector<float*>& out, const std::function<void()>& between = {});

// The positions of stream `s` that a sequence of `length` tokens predicts: those in (0, length].
int predicted(const Config& config, int stream, int length);

}  // namespace mas
