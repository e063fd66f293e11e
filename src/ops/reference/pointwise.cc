#include <cmath>

#include "ops/reference/operations.h"

namespace tidal::reference {

void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width, float epsilon,
              float* out) {
  for (int64_t r = 0; r < n_rows; ++r) {
    const double mean_square = dot(x, x, width) / static_cast<double>(width);
    const double scale = 1.0 / std::sqrt(mean_square + double{epsilon});
    for (int64_t i = 0; i < width; ++i) {
      out[i] = static_cast<float>(double{x[i]} * scale * double{gain[i]});
    }
    x += width;
    out += width;
  }
}

void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim, const float* cos_sin,
          RopePairing pairing) {
  const int32_t half = head_dim / 2;
  for (int64_t r = 0; r < n_rows; ++r) {
    const float* cosine = cos_sin + r * head_dim;
    const float* sine = cosine + half;
    for (int32_t h = 0; h < n_heads; ++h) {
      float* head = x + (r * n_heads + h) * head_dim;
      for (int32_t i = 0; i < half; ++i) {
        const bool interleaved = pairing == RopePairing::kInterleaved;
        float& first = head[interleaved ? 2 * i : i];
        float& second = head[interleaved ? 2 * i + 1 : i + half];
        const double a = double{first}, b = double{second};
        first = static_cast<float>(a * double{cosine[i]} - b * double{sine[i]});
        second = static_cast<float>(a * double{sine[i]} + b * double{cosine[i]});
      }
    }
  }
}

void swiglu(float* gate, const float* up, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    const double g = double{gate[i]};
    gate[i] = static_cast<float>(g / (1.0 + std::exp(-g)) * double{up[i]});
  }
}

}  // namespace tidal::reference
