// Q4_1: 32 elements in 20 bytes, x = scale * q + min, q in [0, 15].
//
//   byte  0  scale, f16
//   byte  2  min, f16
//   byte  4  16 bytes: the low nibble of byte i is q[i], the high nibble q[i + 16]
#pragma once

#include <cstdint>

#include "base/half.h"
#include "tensor/formats/rounding.h"

namespace tidal {

struct BlockQ4_1 {
  static constexpr int kSize = 32;
  static constexpr int kHeaderHalves = 2;  // panels.h
  uint16_t scale;
  uint16_t min;
  uint8_t nibbles[kSize / 2];
};
static_assert(sizeof(BlockQ4_1) == 20);

inline void decode_block(const BlockQ4_1& block, float* out) {
  constexpr int kHalf = BlockQ4_1::kSize / 2;
  const float scale = f16_to_float(block.scale);
  const float min = f16_to_float(block.min);
  for (int i = 0; i < kHalf; ++i) {
    out[i] = scale * static_cast<float>(block.nibbles[i] & 15) + min;
    out[i + kHalf] = scale * static_cast<float>(block.nibbles[i] >> 4) + min;
  }
}

inline void encode_block(const float* in, BlockQ4_1* block) {
  constexpr int kHalf = BlockQ4_1::kSize / 2;
  const Range range = range_of(in, BlockQ4_1::kSize);
  const float scale = (range.max - range.min) / 15.0f;
  const float inverse = inverse_or_zero(scale);
  block->scale = float_to_f16(scale);
  block->min = float_to_f16(range.min);
  for (int i = 0; i < kHalf; ++i) {
    const int low = truncate_clamped((in[i] - range.min) * inverse + 0.5f, 0, 15);
    const int high = truncate_clamped((in[i + kHalf] - range.min) * inverse + 0.5f, 0, 15);
    block->nibbles[i] = static_cast<uint8_t>(low | high << 4);
  }
}

}  // namespace tidal
