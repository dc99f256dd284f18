// How a group of weights becomes levels and a scale: weight = level * scale.
//
// int8: 255 levels, -127 to 127. int4: the 16 below, denser where normal weights are (llama.cpp's
// IQ4_NL; a table fitted to normal weights gave the same error). They are not symmetric, and the
// sign of the scale turns them round. Scales are bfloat16, so that a weight is a float exactly.
#pragma once

#include "packed.h"

namespace mas {

inline constexpr int8_t kInt4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                           1,    13,   25,  38,  53,  69,  89,  113};

// The place of a level in kInt4Levels; -1 where it is none of them.
int int4_index(int level);

// Finds the levels of kGroup finite weights with the least squared error of those tried, and
// returns their scale.
uint16_t quantize_group(DType dtype, const float* weights, int8_t* levels);

}  // namespace mas
