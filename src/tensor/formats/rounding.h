// What the encoders share: the extremes of a block and rounding to a clamped integer. Rounding is
// by truncation of x + 0.5, as the GGUF reference does it; NaN becomes the lower bound, so that no
// input is undefined behaviour.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tidal {

struct Range {
  float min;
  float max;
};

inline Range range_of(const float* in, int n) {
  Range range{in[0], in[0]};
  for (int i = 1; i < n; ++i) {
    range.min = std::min(range.min, in[i]);
    range.max = std::max(range.max, in[i]);
  }
  return range;
}

// The element of largest magnitude, with its sign; the first of several equal ones.
inline float signed_extreme(const float* in, int n) {
  float extreme = in[0];
  for (int i = 1; i < n; ++i) {
    if (std::fabs(in[i]) > std::fabs(extreme)) extreme = in[i];
  }
  return extreme;
}

inline float inverse_or_zero(float x) { return x == 0.0f ? 0.0f : 1.0f / x; }

// x truncated towards zero and clamped to [low, high].
inline int truncate_clamped(float x, int low, int high) {
  if (!(x > static_cast<float>(low))) return low;
  if (x >= static_cast<float>(high)) return high;
  return static_cast<int>(x);
}

// x rounded half up and clamped to [low, high].
inline int round_clamped(float x, int low, int high) {
  return truncate_clamped(std::floor(x + 0.5f), low, high);
}

}  // namespace tidal
