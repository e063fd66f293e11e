// Moments of a run of scores: include once per target.
#if defined(TIDAL_OPS_CPU_MOMENTS_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDAL_OPS_CPU_MOMENTS_INL_H_
#undef TIDAL_OPS_CPU_MOMENTS_INL_H_
#else
#define TIDAL_OPS_CPU_MOMENTS_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <limits>

#include "ops/cpu/attention/moments.h"
#include "ops/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

HWY_INLINE Moments measure_scores(const float* scores, int64_t n) {
  const hn::CappedTag<float, 16> d;
  constexpr int64_t kStep = hn::MaxLanes(hn::CappedTag<float, 16>());
  float maximum = -std::numeric_limits<float>::infinity();
  int64_t i = 0;
  if (n >= kStep) {
    auto top = hn::LoadU(d, scores);
    for (i = kStep; i + kStep <= n; i += kStep) top = hn::Max(top, hn::LoadU(d, scores + i));
    maximum = hn::GetLane(hn::MaxOfLanes(d, top));
  }
  for (; i < n; ++i) maximum = std::max(maximum, scores[i]);
  const auto shift = hn::Set(d, maximum);
  auto sum = hn::Zero(d);
  for (i = 0; i < n; i += kStep) {
    const auto inside = hn::FirstN(d, static_cast<size_t>(std::min(n - i, kStep)));
    const auto e = fast_exp(d, hn::Sub(hn::MaskedLoad(inside, d, scores + i), shift));
    sum = hn::Add(sum, hn::IfThenElseZero(inside, e));
  }
  return {maximum, hn::GetLane(hn::SumOfLanes(d, sum))};
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
