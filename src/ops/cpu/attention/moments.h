// The maximum of some scores and the sum of their exponentials: what a log-sum-exp is merged from.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace tidal::cpu {

struct Moments {
  float maximum;
  float total;  // sum of exp(score - maximum)
};

// Merges n parts, `stride` apart, in order.
inline float merge_moments(const Moments* parts, int64_t n, int64_t stride) {
  float maximum = -std::numeric_limits<float>::infinity();
  for (int64_t i = 0; i < n; ++i) maximum = std::max(maximum, parts[i * stride].maximum);
  float total = 0;
  for (int64_t i = 0; i < n; ++i) {
    total += parts[i * stride].total * std::exp(parts[i * stride].maximum - maximum);
  }
  return maximum + std::log(total);
}

}  // namespace tidal::cpu
