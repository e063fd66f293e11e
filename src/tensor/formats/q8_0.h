// Q8_0: 32 elements in 34 bytes, x = scale * q, q in [-128, 127].
//
//   byte  0  scale, f16
//   byte  2  32 signed bytes q[i]
#pragma once

#include <cmath>
#include <cstdint>

#include "base/half.h"
#include "tensor/formats/rounding.h"

namespace tidal {

struct BlockQ8_0 {
  static constexpr int kSize = 32;
  static constexpr int kHeaderHalves = 1;  // panels.h
  uint16_t scale;
  int8_t values[kSize];
};
static_assert(sizeof(BlockQ8_0) == 34);

inline void decode_block(const BlockQ8_0& block, float* out) {
  const float scale = f16_to_float(block.scale);
  for (int i = 0; i < BlockQ8_0::kSize; ++i) out[i] = scale * static_cast<float>(block.values[i]);
}

inline void encode_block(const float* in, BlockQ8_0* block) {
  const float scale = std::fabs(signed_extreme(in, BlockQ8_0::kSize)) / 127.0f;
  const float inverse = inverse_or_zero(scale);
  block->scale = float_to_f16(scale);
  for (int i = 0; i < BlockQ8_0::kSize; ++i) {
    const int q = truncate_clamped(std::round(in[i] * inverse), -127, 127);
    block->values[i] = static_cast<int8_t>(q);
  }
}

}  // namespace tidal
