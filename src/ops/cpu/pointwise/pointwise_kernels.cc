// Norm, rotation, gate and embedding: a few operations per element on data the previous operation
// left in cache, so they are short beside the matrix products around them; what matters is not to
// wake the team for small ones. An embedding decodes only the rows it picks.

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/pointwise/pointwise_kernels.cc"
#include "ops/cpu/simd_targets.h"
// After simd_targets.h.
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/check.h"
#include "ops/cpu/exp-inl.h"
#include "ops/cpu/pointwise/pointwise_kernels.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Narrow vectors: these operations are short, and head_dim / 2 is usually a multiple of 4.
using D4 = hn::CappedTag<float, 4>;
using D8 = hn::CappedTag<float, 8>;

float sum_of_squares(const float* x, int64_t n) {
  const D8 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  auto even = hn::Zero(d);
  auto odd = hn::Zero(d);
  int64_t i = 0;
  for (; i + 2 * lanes <= n; i += 2 * lanes) {
    const auto a = hn::LoadU(d, x + i);
    const auto b = hn::LoadU(d, x + i + lanes);
    even = hn::MulAdd(a, a, even);
    odd = hn::MulAdd(b, b, odd);
  }
  float sum = hn::GetLane(hn::SumOfLanes(d, hn::Add(even, odd)));
  for (; i < n; ++i) sum += x[i] * x[i];
  return sum;
}

void rms_norm_row(const float* x, const float* gain, int64_t width, float epsilon, float* out) {
  const float mean = sum_of_squares(x, width) / static_cast<float>(width);
  const float factor = 1.0f / std::sqrt(mean + epsilon);
  const D8 d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto factors = hn::Set(d, factor);
  int64_t i = 0;
  for (; i + lanes <= width; i += lanes) {
    const auto scaled = hn::Mul(hn::LoadU(d, x + i), factors);
    hn::StoreU(hn::Mul(scaled, hn::LoadU(d, gain + i)), d, out + i);
  }
  for (; i < width; ++i) out[i] = x[i] * factor * gain[i];
}

// Rotates pairs [first, half) of one head; pair i is (x[i * step], x[i * step + distance]).
void rope_pairs(float* x, int first, int half, int step, int distance, const float* cos_sin) {
  for (int i = first; i < half; ++i) {
    const float a = x[i * step], b = x[i * step + distance];
    const float cosine = cos_sin[i], sine = cos_sin[half + i];
    x[i * step] = std::fma(-b, sine, a * cosine);
    x[i * step + distance] = std::fma(a, sine, b * cosine);
  }
}

void rope_row(float* x, int32_t n_heads, int32_t head_dim, const float* cos_sin,
              RopePairing pairing) {
  const D4 d;
  const int half = head_dim / 2;
  const int lanes = static_cast<int>(hn::Lanes(d));
  const bool halves = pairing == RopePairing::kHalves;
  for (int32_t head = 0; head < n_heads; ++head, x += head_dim) {
    int i = 0;
    for (; i + lanes <= half; i += lanes) {
      const auto cosine = hn::LoadU(d, cos_sin + i);
      const auto sine = hn::LoadU(d, cos_sin + half + i);
      hn::Vec<D4> a, b;
      if (halves) {
        a = hn::LoadU(d, x + i);
        b = hn::LoadU(d, x + half + i);
      } else {
        hn::LoadInterleaved2(d, x + 2 * i, a, b);
      }
      const auto turned_a = hn::NegMulAdd(b, sine, hn::Mul(a, cosine));
      const auto turned_b = hn::MulAdd(a, sine, hn::Mul(b, cosine));
      if (halves) {
        hn::StoreU(turned_a, d, x + i);
        hn::StoreU(turned_b, d, x + half + i);
      } else {
        hn::StoreInterleaved2(turned_a, turned_b, d, x + 2 * i);
      }
    }
    rope_pairs(x, i, half, halves ? 1 : 2, halves ? half : 1, cos_sin);
  }
}

// The last elements go through a padded vector: an element's bits never depend on its position.
void swiglu_range(float* gate, const float* up, int64_t n) {
  const hn::CappedTag<float, 16> d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const auto apply = [&](float* g, const float* u) HWY_ATTR {
    // e^-|x| cannot overflow, whatever the gate.
    const auto x = hn::LoadU(d, g);
    const auto one = hn::Set(d, 1.0f);
    const auto e = fast_exp(d, hn::Neg(hn::Abs(x)));
    const auto numerator = hn::IfThenElse(hn::Lt(x, hn::Zero(d)), hn::Mul(x, e), x);
    const auto silu = hn::Div(numerator, hn::Add(one, e));
    hn::StoreU(hn::Mul(silu, hn::LoadU(d, u)), d, g);
  };
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) apply(gate + i, up + i);
  if (i == n) return;
  float last_gate[16] = {}, last_up[16] = {};
  const size_t bytes = static_cast<size_t>(n - i) * sizeof(float);
  std::memcpy(last_gate, gate + i, bytes);
  std::memcpy(last_up, up + i, bytes);
  apply(last_gate, last_up);
  std::memcpy(gate + i, last_gate, bytes);
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(rms_norm_row);
HWY_EXPORT(rope_row);
HWY_EXPORT(swiglu_range);

namespace {

// f(task) for every task, on the team if there are enough elements to be worth waking it.
template <typename F>
void run_if_large(ThreadPool& pool, int64_t n_elements, int64_t n_tasks, const F& f) {
  constexpr int64_t kInlineElements = 8192;
  if (n_elements <= kInlineElements) {
    for (int64_t task = 0; task < n_tasks; ++task) f(task);
  } else {
    pool.run(n_tasks, [&](int64_t task, int) { f(task); });
  }
}

}  // namespace

void embed(ThreadPool& pool, const Weight& table, std::span<const int32_t> ids, float* out) {
  TIDAL_CHECK(table.layout == WeightLayout::kRows);
  const auto n = static_cast<int64_t>(ids.size());
  run_if_large(pool, n * table.cols, n, [&](int64_t i) {
    const int32_t id = ids[static_cast<size_t>(i)];
    decode_row(table.dtype, table.row(id), out + i * table.cols, table.cols);
  });
}

void rms_norm(ThreadPool& pool, const float* x, const float* gain, int64_t n_rows, int64_t width,
              float epsilon, float* out) {
  const auto kernel = HWY_DYNAMIC_DISPATCH(rms_norm_row);
  run_if_large(pool, n_rows * width, n_rows, [&](int64_t row) {
    kernel(x + row * width, gain, width, epsilon, out + row * width);
  });
}

void rope(ThreadPool& pool, float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim,
          const float* cos_sin, RopePairing pairing) {
  const auto kernel = HWY_DYNAMIC_DISPATCH(rope_row);
  const int64_t width = int64_t{n_heads} * head_dim;
  run_if_large(pool, n_rows * width, n_rows, [&](int64_t row) {
    kernel(x + row * width, n_heads, head_dim, cos_sin + row * head_dim, pairing);
  });
}

void swiglu(ThreadPool& pool, float* gate, const float* up, int64_t n) {
  const auto kernel = HWY_DYNAMIC_DISPATCH(swiglu_range);
  constexpr int64_t kPiece = 2048;
  run_if_large(pool, n, (n + kPiece - 1) / kPiece, [&](int64_t piece) {
    const int64_t first = piece * kPiece;
    kernel(gate + first, up + first, std::min(kPiece, n - first));
  });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
