// IQ4_NL: 32 elements in 18 bytes, x = scale * kIq4Levels[q], q in [0, 15]. The levels are denser
// near zero, where most weights are.
//
//   byte  0  scale, f16
//   byte  2  16 bytes: the low nibble of byte i is q[i], the high nibble q[i + 16]
//
// The encoder rounds to nearest without a search: correct, but not the best possible quantizer.
#pragma once

#include <cstdint>

#include "base/half.h"
#include "tensor/formats/rounding.h"

namespace tidal {

inline constexpr int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

struct BlockIQ4_NL {
  static constexpr int kSize = 32;
  static constexpr int kHeaderHalves = 1;  // panels.h
  uint16_t scale;
  uint8_t nibbles[kSize / 2];
};
static_assert(sizeof(BlockIQ4_NL) == 18);

inline void decode_block(const BlockIQ4_NL& block, float* out) {
  constexpr int kHalf = BlockIQ4_NL::kSize / 2;
  const float scale = f16_to_float(block.scale);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = scale * static_cast<float>(kIq4Levels[block.nibbles[i] & 15]);
    out[i + kHalf] = scale * static_cast<float>(kIq4Levels[block.nibbles[i] >> 4]);
  }
}

// The level nearest to x, the lower of two equally near.
inline int nearest_iq4_level(float x) {
  int q = 0;
  while (q < 15 && 2.0f * x > static_cast<float>(kIq4Levels[q] + kIq4Levels[q + 1])) ++q;
  return q;
}

inline void encode_block(const float* in, BlockIQ4_NL* block) {
  constexpr int kHalf = BlockIQ4_NL::kSize / 2;
  const float scale = signed_extreme(in, BlockIQ4_NL::kSize) / kIq4Levels[0];
  const float inverse = inverse_or_zero(scale);
  block->scale = float_to_f16(scale);
  for (int i = 0; i < kHalf; ++i) {
    const int low = nearest_iq4_level(in[i] * inverse);
    const int high = nearest_iq4_level(in[i + kHalf] * inverse);
    block->nibbles[i] = static_cast<uint8_t>(low | high << 4);
  }
}

}  // namespace tidal
