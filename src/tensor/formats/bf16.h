// BF16: the upper half of a binary32, little endian. One element per block.
#pragma once

#include <cstdint>

#include "base/half.h"

namespace tidal {

struct BlockBF16 {
  static constexpr int kHeaderHalves = 0;  // panels.h
  uint16_t value;
};
static_assert(sizeof(BlockBF16) == 2);

inline void decode_block(const BlockBF16& block, float* out) { *out = bf16_to_float(block.value); }
inline void encode_block(const float* in, BlockBF16* block) { block->value = float_to_bf16(*in); }

}  // namespace tidal
