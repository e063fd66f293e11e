// F16: IEEE 754 binary16, little endian. One element per block.
#pragma once

#include <cstdint>

#include "base/half.h"

namespace tidal {

struct BlockF16 {
  static constexpr int kHeaderHalves = 0;  // panels.h
  uint16_t value;
};
static_assert(sizeof(BlockF16) == 2);

inline void decode_block(const BlockF16& block, float* out) { *out = f16_to_float(block.value); }
inline void encode_block(const float* in, BlockF16* block) { block->value = float_to_f16(*in); }

}  // namespace tidal
