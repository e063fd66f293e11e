// The 12 bytes in which Q4_K and Q5_K pack a 6-bit scale and a 6-bit min for each of their eight
// groups of 32 elements:
//
//   byte j      (j < 4)  bits 0-5 scale[j]     bits 6-7 the upper two bits of scale[j + 4]
//   byte j + 4  (j < 4)  bits 0-5 min[j]       bits 6-7 the upper two bits of min[j + 4]
//   byte j + 8  (j < 4)  bits 0-3 the lower four bits of scale[j + 4], bits 4-7 those of min[j + 4]
//
// The encoder picks scales by rounding to nearest, without a search: a correct encoding for random
// weights and tests, not the best possible quantizer.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/half.h"
#include "tensor/formats/rounding.h"

namespace tidal {

inline constexpr int kKGroups = 8;
inline constexpr int kKGroupSize = 32;

struct KScales {
  uint8_t scale[kKGroups];
  uint8_t min[kKGroups];
};

inline KScales unpack_k_scales(const uint8_t packed[12]) {
  KScales out;
  for (int j = 0; j < 4; ++j) {
    out.scale[j] = packed[j] & 63;
    out.min[j] = packed[j + 4] & 63;
    out.scale[j + 4] = static_cast<uint8_t>((packed[j + 8] & 15) | (packed[j] >> 6 << 4));
    out.min[j + 4] = static_cast<uint8_t>((packed[j + 8] >> 4) | (packed[j + 4] >> 6 << 4));
  }
  return out;
}

inline void pack_k_scales(const KScales& scales, uint8_t packed[12]) {
  for (int j = 0; j < 4; ++j) {
    packed[j] = static_cast<uint8_t>(scales.scale[j] | scales.scale[j + 4] >> 4 << 6);
    packed[j + 4] = static_cast<uint8_t>(scales.min[j] | scales.min[j + 4] >> 4 << 6);
    packed[j + 8] =
        static_cast<uint8_t>((scales.scale[j + 4] & 15) | (scales.min[j + 4] & 15) << 4);
  }
}

// Scales and quantized values of a whole block of 256 for x = scale * group_scale * q - min *
// group_min, q in [0, levels].
struct KEncoding {
  uint16_t scale;
  uint16_t min;
  KScales groups;
  uint8_t q[kKGroups * kKGroupSize];
};

inline KEncoding encode_k_groups(const float* in, int levels) {
  float group_scale[kKGroups];
  float group_min[kKGroups];
  for (int j = 0; j < kKGroups; ++j) {
    const Range range = range_of(in + int64_t{j} * kKGroupSize, kKGroupSize);
    group_min[j] = std::max(0.0f, -range.min);
    group_scale[j] = std::max(0.0f, range.max + group_min[j]) / static_cast<float>(levels);
  }
  KEncoding out;
  out.scale = float_to_f16(*std::max_element(group_scale, group_scale + kKGroups) / 63.0f);
  out.min = float_to_f16(*std::max_element(group_min, group_min + kKGroups) / 63.0f);
  // The values are rounded relative to the stored scales, so that errors do not add up.
  const float scale = f16_to_float(out.scale);
  const float min = f16_to_float(out.min);
  for (int j = 0; j < kKGroups; ++j) {
    const int s = round_clamped(group_scale[j] * inverse_or_zero(scale), 0, 63);
    const int m = round_clamped(group_min[j] * inverse_or_zero(min), 0, 63);
    out.groups.scale[j] = static_cast<uint8_t>(s);
    out.groups.min[j] = static_cast<uint8_t>(m);
    const float inverse = inverse_or_zero(scale * static_cast<float>(s));
    const float offset = min * static_cast<float>(m);
    for (int i = j * kKGroupSize; i < (j + 1) * kKGroupSize; ++i) {
      out.q[i] = static_cast<uint8_t>(round_clamped((in[i] + offset) * inverse, 0, levels));
    }
  }
  return out;
}

}  // namespace tidal
