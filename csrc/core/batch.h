// Passes over the weights for the sequences of several runs at once: requests of different prompts,
// settings and lengths share them, and come and go between passes.
//
// What a pass reads: for each sequence whose cache holds all known tokens but the last, that one
// and a window of guesses after it; and of prompts that are still to be read, as much as fits. A
// sequence has no part in another one's logits, so its tokens are those that it would have alone.
#pragma once

#include <functional>
#include <span>

#include "run.h"

namespace mas {

// Goes on with all runs until each of their sequences knows `target` positions, or all that its
// request asks for, or until going(), which the calling thread calls after each pass, returns
// false. What ends one run (Run::error) leaves the others going. Throws std::logic_error as
// EngineLock does.
void advance(Engine& engine, std::span<Run* const> runs, int target,
             const std::function<bool()>& going);

}  // namespace mas
