// Q6_K: 256 elements in 210 bytes, sixteen groups of 16: x = scale * group_scale[g] * (q - 32),
// q in [0, 63]. Its two halves of 128 elements are laid out alike; with i in [0, 32), element
// r * 32 + i of half h has
//
//   byte    0  128 bytes, 64 a half: bits 0 to 3 of q, for r = 0, 1 in the low nibble of bytes
//              (r * 32 + i), for r = 2, 3 in the high nibble of bytes ((r - 2) * 32 + i)
//   byte  128  64 bytes, 32 a half: bits 4 and 5 of q, at bits 2 r and 2 r + 1 of byte i
//   byte  192  16 signed bytes: group scales
//   byte  208  scale, f16
//
// The encoder rounds to nearest without a search: correct, but not the best possible quantizer.
#pragma once

#include <cmath>
#include <cstdint>

#include "base/half.h"
#include "tensor/formats/rounding.h"

namespace tidal {

struct BlockQ6_K {
  static constexpr int kSize = 256;
  static constexpr int kHeaderHalves = 0;  // panels.h
  static constexpr int kGroups = 16;
  static constexpr int kGroupSize = 16;
  uint8_t nibbles[kSize / 2];
  uint8_t high_bits[kSize / 4];
  int8_t group_scales[kGroups];
  uint16_t scale;
};
static_assert(sizeof(BlockQ6_K) == 210);

inline void decode_block(const BlockQ6_K& block, float* out) {
  const float scale = f16_to_float(block.scale);
  for (int e = 0; e < BlockQ6_K::kSize; ++e) {
    const int half = e / 128, r = e % 128 / 32, i = e % 32, group = e / BlockQ6_K::kGroupSize;
    const int nibble = block.nibbles[half * 64 + r % 2 * 32 + i] >> (r / 2 * 4) & 15;
    const int high = block.high_bits[half * 32 + i] >> (2 * r) & 3;
    const float group_scale = scale * static_cast<float>(block.group_scales[group]);
    out[e] = group_scale * static_cast<float>((nibble | high << 4) - 32);
  }
}

inline void encode_block(const float* in, BlockQ6_K* block) {
  constexpr int kGroupSize = BlockQ6_K::kGroupSize;
  *block = {};
  float group_scale[BlockQ6_K::kGroups];
  for (int g = 0; g < BlockQ6_K::kGroups; ++g) {
    group_scale[g] = signed_extreme(in + int64_t{g} * kGroupSize, kGroupSize) / -32.0f;
  }
  const float largest = signed_extreme(group_scale, BlockQ6_K::kGroups);
  block->scale = float_to_f16(std::fabs(largest) / 127.0f);
  const float scale = f16_to_float(block->scale);
  for (int g = 0; g < BlockQ6_K::kGroups; ++g) {
    block->group_scales[g] =
        static_cast<int8_t>(round_clamped(group_scale[g] * inverse_or_zero(scale), -127, 127));
  }
  for (int e = 0; e < BlockQ6_K::kSize; ++e) {
    const int half = e / 128, r = e % 128 / 32, i = e % 32, group = e / kGroupSize;
    const float inverse = inverse_or_zero(scale * static_cast<float>(block->group_scales[group]));
    const int q = round_clamped(in[e] * inverse, -32, 31) + 32;
    block->nibbles[half * 64 + r % 2 * 32 + i] |= static_cast<uint8_t>((q & 15) << (r / 2 * 4));
    block->high_bits[half * 32 + i] |= static_cast<uint8_t>(q >> 4 << (2 * r));
  }
}

}  // namespace tidal
