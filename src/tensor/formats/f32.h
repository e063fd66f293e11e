// F32: IEEE 754 binary32, little endian. One element per block.
#pragma once

namespace tidal {

struct BlockF32 {
  static constexpr int kHeaderHalves = 0;  // panels.h
  float value;
};
static_assert(sizeof(BlockF32) == 4);

inline void decode_block(const BlockF32& block, float* out) { *out = block.value; }
inline void encode_block(const float* in, BlockF32* block) { block->value = *in; }

}  // namespace tidal
