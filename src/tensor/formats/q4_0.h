// Q4_0: 32 elements in 18 bytes, x = scale * (q - 8), q in [0, 15].
//
//   byte  0  scale, f16
//   byte  2  16 bytes: the low nibble of byte i is q[i], the high nibble q[i + 16]
#pragma once

#include <cstdint>

#include "base/half.h"
#include "tensor/formats/rounding.h"

namespace tidal {

struct BlockQ4_0 {
  static constexpr int kSize = 32;
  static constexpr int kHeaderHalves = 1;  // panels.h
  uint16_t scale;
  uint8_t nibbles[kSize / 2];
};
static_assert(sizeof(BlockQ4_0) == 18);

inline void decode_block(const BlockQ4_0& block, float* out) {
  constexpr int kHalf = BlockQ4_0::kSize / 2;
  const float scale = f16_to_float(block.scale);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = scale * static_cast<float>((block.nibbles[i] & 15) - 8);
    out[i + kHalf] = scale * static_cast<float>((block.nibbles[i] >> 4) - 8);
  }
}

inline void encode_block(const float* in, BlockQ4_0* block) {
  constexpr int kHalf = BlockQ4_0::kSize / 2;
  const float scale = signed_extreme(in, BlockQ4_0::kSize) / -8.0f;
  const float inverse = inverse_or_zero(scale);
  block->scale = float_to_f16(scale);
  for (int i = 0; i < kHalf; ++i) {
    const int low = truncate_clamped(in[i] * inverse + 8.5f, 0, 15);
    const int high = truncate_clamped(in[i + kHalf] * inverse + 8.5f, 0, 15);
    block->nibbles[i] = static_cast<uint8_t>(low | high << 4);
  }
}

}  // namespace tidal
