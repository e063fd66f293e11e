// Q5_1: 32 elements in 24 bytes, x = scale * q + min, q in [0, 31].
//
//   byte  0  scale, f16
//   byte  2  min, f16
//   byte  4  32 bits, little endian: bit i is bit 4 of q[i]
//   byte  8  16 bytes, bits 0 to 3: the low nibble of byte i is q[i], the high nibble q[i + 16]
#pragma once

#include <cstdint>

#include "base/half.h"
#include "tensor/formats/rounding.h"

namespace tidal {

struct BlockQ5_1 {
  static constexpr int kSize = 32;
  static constexpr int kHeaderHalves = 2;  // panels.h
  uint16_t scale;
  uint16_t min;
  uint8_t high_bits[kSize / 8];
  uint8_t nibbles[kSize / 2];
};
static_assert(sizeof(BlockQ5_1) == 24);

inline void decode_block(const BlockQ5_1& block, float* out) {
  constexpr int kHalf = BlockQ5_1::kSize / 2;
  const float scale = f16_to_float(block.scale);
  const float min = f16_to_float(block.min);
  for (int i = 0; i < BlockQ5_1::kSize; ++i) {
    const int nibble = i < kHalf ? block.nibbles[i] & 15 : block.nibbles[i - kHalf] >> 4;
    const int high = block.high_bits[i / 8] >> (i % 8) & 1;
    out[i] = scale * static_cast<float>(nibble | high << 4) + min;
  }
}

inline void encode_block(const float* in, BlockQ5_1* block) {
  constexpr int kHalf = BlockQ5_1::kSize / 2;
  const Range range = range_of(in, BlockQ5_1::kSize);
  const float scale = (range.max - range.min) / 31.0f;
  const float inverse = inverse_or_zero(scale);
  *block = {};
  block->scale = float_to_f16(scale);
  block->min = float_to_f16(range.min);
  for (int i = 0; i < BlockQ5_1::kSize; ++i) {
    const int q = truncate_clamped((in[i] - range.min) * inverse + 0.5f, 0, 31);
    block->nibbles[i % kHalf] |= static_cast<uint8_t>((q & 15) << (i < kHalf ? 0 : 4));
    block->high_bits[i / 8] |= static_cast<uint8_t>(q >> 4 << (i % 8));
  }
}

}  // namespace tidal
