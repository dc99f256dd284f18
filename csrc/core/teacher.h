// The logits of given tokens: teacher forcing.
#pragma once

#include <functional>
#include <vector>

#include "engine.h"

namespace mas {

// Teacher-forced logits of tokens [count, length], where length is at most that of a whole
// sequence. out[s] is [count, positions that predict stream s, vocab of s], and empty if there are
// none; stream 0 lacks its first position. The calling thread calls between() after each pass; it
// may throw.
void teacher_logits(Engine& engine, const int32_t* tokens, int count, int length,
                    const std::vector<float*>& out, const std::function<void()>& between = {});

// The positions of stream `s` that a sequence of `length` tokens predicts: those in (0, length].
int predicted(const Config& config, int stream, int length);

}  // namespace mas
