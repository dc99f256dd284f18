// The generation of a batch of sequences, position by position: forced tokens are taken as given,
// the others are drawn. With classifier-free guidance (CFG) every sequence has an unconditional
// twin, which reads the null caption; the sampler mixes the logits of the two.
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
  int stop = 0;  // positions to produce, 1 to length

  // Throws std::invalid_argument naming the value found and those allowed.
  void check(const Config& config) const;
  bool guided() const;
};

class Run {
 public:
  Run(std::shared_ptr<Engine> engine, Request request);  // throws as check()

  // Continues until `count` more positions are known (all of them if count is 0), or until
  // step(position, stop), which the calling thread calls after each position, returns false.
  // Returns the number of known positions. Throws std::domain_error if a logit is NaN, which ends
  // the run, and std::logic_error as EngineLock does.
  int advance(int count, const std::function<bool(int, int)>& step);

  int position() const { return known_; }
  int stop() const { return request_.stop; }
  int sequences() const { return request_.prompts * request_.samples; }
  // [sequences, length], -1 where not yet known.
  const std::vector<int32_t>& tokens() const { return tokens_; }

 private:
  struct Step {
    std::vector<BatchEntry> entries;
    std::vector<LogitsRequest> logits_requests;
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
  int known_ = 0, done_ = 0;  // positions known in every sequence; positions in the cache
  std::vector<int32_t> tokens_;
  std::vector<float> logits_;  // [rows, vocab of the stream at known_]
  Step step_;
  size_t scratch_bytes_ = 0;
  Buffer scratch_;
  std::vector<std::string> errors_;  // one per thread
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
