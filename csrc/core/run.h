// The generation of a batch of sequences: forced tokens are read, the others drawn, position by
// position.
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
  std::vector<int32_t> null;     // the first tokens of the unconditional rows; empty: no guidance
  std::vector<Sampling> sampling;  // one a stream
  uint64_t seed = 0;
  uint32_t first_sample = 0;
  int stop = 0;  // positions to produce, 1 to length

  // Throws std::invalid_argument naming the value found and those allowed.
  void check(const Config& config) const;
  bool guided() const;
};

class Run {
 public:
  Run(std::shared_ptr<Engine> engine, Request request);  // throws as check()

  // Goes on until `count` more positions are known (or all, where count is 0), or until
  // step(position, stop), called by the calling thread after each position, returns false. Returns
  // the number of known positions. Throws std::domain_error when a logit is NaN (the run is over
  // then), and std::logic_error as Engine::Use does.
  int advance(int count, const std::function<bool(int, int)>& step);

  int position() const { return known_; }
  int stop() const { return request_.stop; }
  int sequences() const { return request_.prompts * request_.samples; }
  const std::vector<int32_t>& tokens() const {
    return tokens_;
  }  // [sequences, length], -1 where not yet known

 private:
  struct Step {
    std::vector<Item> items;
    std::vector<Predict> predictions;
    int positions = 0;
  };

  int32_t token(int row, int position) const;
  bool is_forced(int sequence, int position) const;
  void extend();
  Step pass(const std::vector<int>& rows, int first, int last) const;
  bool prefill(const std::vector<int>& rows, int first, int last,
               const std::function<bool(int, int)>& step);
  bool share_prompts(const std::function<bool(int, int)>& step);
  void plan();
  void draw(int thread);
  void check_errors() const;

  std::shared_ptr<Engine> engine_;
  Request request_;
  KvCache cache_;             // rows: the sequences, then their unconditional twins
  std::vector<int> rows_;     // 0, 1, ...: all rows of the cache
  int known_ = 0, done_ = 0;  // tokens known of every sequence; positions in the cache
  std::vector<int32_t> tokens_;
  std::vector<float> logits_;  // [rows, vocab of the stream at known_]
  Step step_;
  size_t scratch_bytes_ = 0;
  Buffer scratch_;
  std::vector<std::string> errors_;  // of each thread
};

// Teacher-forced logits of tokens [count, length], at most as long as a whole sequence: out[s] is
// [count, positions that predict stream s, vocab of s]; stream 0 lacks its first position. An empty
// out[s] where none do. between() is called by the calling thread after each pass, and may throw.
void teacher_logits(Engine& engine, const int32_t* tokens, int count, int length,
                    const std::vector<float*>& out, const std::function<void()>& between = {});

// The positions of stream `s` that a sequence of `length` tokens predicts: those in (0, length].
int predicted(const Config& config, int stream, int length);

}  // namespace mas
