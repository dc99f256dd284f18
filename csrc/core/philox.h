// Philox4x32-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as
// 1, 2, 3" (SC 2011). Four 32-bit words are a pure function of a 128-bit counter and a 64-bit key.
#pragma once

#include <cstdint>

#include "host_device.h"

namespace mas {

struct PhiloxBlock {
  uint32_t x0, x1, x2, x3;
};

// One round. Scalars, not arrays, so that a loop over counters vectorises.
MAS_HOST_DEVICE PhiloxBlock philox_round(PhiloxBlock c, uint32_t key0, uint32_t key1) {
  const uint64_t p0 = uint64_t{0xD2511F53u} * c.x0;
  const uint64_t p1 = uint64_t{0xCD9E8D57u} * c.x2;
  return {static_cast<uint32_t>(p1 >> 32) ^ c.x1 ^ key0, static_cast<uint32_t>(p1),
          static_cast<uint32_t>(p0 >> 32) ^ c.x3 ^ key1, static_cast<uint32_t>(p0)};
}

MAS_HOST_DEVICE PhiloxBlock philox4x32(PhiloxBlock counter, uint32_t key0, uint32_t key1) {
  for (uint32_t round = 0; round < 10; ++round)
    counter = philox_round(counter, key0 + round * 0x9E3779B9u, key1 + round * 0xBB67AE85u);
  return counter;
}

}  // namespace mas
