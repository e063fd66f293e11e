// Q5_K: 256 elements in 176 bytes, eight groups of 32:
// x = scale * group_scale[g] * q - min * group_min[g], q in [0, 31].
//
//   byte   0  scale, f16
//   byte   2  min, f16
//   byte   4  12 bytes: group scales and mins of 6 bits each (k_scales.h)
//   byte  16  32 bytes: bit g of byte i is bit 4 of q[i] of group g
//   byte  48  128 bytes, 32 for each pair of groups, bits 0 to 3: the low nibble of byte i is q[i]
//             of the even group, the high nibble q[i] of the odd one
#pragma once

#include <cstdint>

#include "base/half.h"
#include "tensor/formats/k_scales.h"

namespace tidal {

struct BlockQ5_K {
  static constexpr int kSize = 256;
  static constexpr int kHeaderHalves = 2;  // panels.h
  uint16_t scale;
  uint16_t min;
  uint8_t group_scales[12];
  uint8_t high_bits[kSize / 8];
  uint8_t nibbles[kSize / 2];
};
static_assert(sizeof(BlockQ5_K) == 176);

inline void decode_block(const BlockQ5_K& block, float* out) {
  const float scale = f16_to_float(block.scale);
  const float min = f16_to_float(block.min);
  const KScales groups = unpack_k_scales(block.group_scales);
  for (int g = 0; g < kKGroups; ++g) {
    const float group_scale = scale * static_cast<float>(groups.scale[g]);
    const float group_min = min * static_cast<float>(groups.min[g]);
    const uint8_t* nibbles = block.nibbles + int64_t{g / 2} * kKGroupSize;
    const int shift = g % 2 * 4;
    for (int i = 0; i < kKGroupSize; ++i) {
      const int q = (nibbles[i] >> shift & 15) | (block.high_bits[i] >> g & 1) << 4;
      *out++ = group_scale * static_cast<float>(q) - group_min;
    }
  }
}

inline void encode_block(const float* in, BlockQ5_K* block) {
  const KEncoding encoding = encode_k_groups(in, 31);
  *block = {};
  block->scale = encoding.scale;
  block->min = encoding.min;
  pack_k_scales(encoding.groups, block->group_scales);
  for (int g = 0; g < kKGroups; ++g) {
    for (int i = 0; i < kKGroupSize; ++i) {
      const int q = encoding.q[g * kKGroupSize + i];
      block->nibbles[g / 2 * kKGroupSize + i] |= static_cast<uint8_t>((q & 15) << (g % 2 * 4));
      block->high_bits[i] |= static_cast<uint8_t>(q >> 4 << g);
    }
  }
}

}  // namespace tidal
