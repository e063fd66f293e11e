#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "ops/cpu/simd_targets.h"
#include "ops/cpu/target.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/exp_test.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "ops/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

// n: a multiple of 16
void exp_all(const float* x, float* y, size_t n) {
  const hn::CappedTag<float, 16> d;
  for (size_t i = 0; i < n; i += hn::Lanes(d)) {
    hn::StoreU(fast_exp(d, hn::LoadU(d, x + i)), d, y + i);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(exp_all);

namespace {

std::vector<float> exp_of(std::vector<float> x) {
  x.resize((x.size() + 15) / 16 * 16);
  std::vector<float> y(x.size());
  HWY_DYNAMIC_DISPATCH(exp_all)(x.data(), y.data(), x.size());
  return y;
}

TEST(Exp, IsWithinItsErrorOverItsRange) {
  choose_target();
  std::vector<float> x;
  for (float v = -87.3f; v <= 88.0f; v += 0.000731f) x.push_back(v);
  const std::vector<float> y = exp_of(x);
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    worst = std::max(worst, std::abs(double{y[i]} / std::exp(double{x[i]}) - 1));
  }
  EXPECT_LE(worst, 2.3e-7);
}

TEST(Exp, TakesWhatAttentionGivesIt) {
  choose_target();
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  const std::vector<float> y = exp_of({0.0f, -0.0f, -87.4f, -1e30f, -kInfinity, NAN});
  EXPECT_EQ(y[0], 1.0f);
  EXPECT_EQ(y[1], 1.0f);
  EXPECT_EQ(y[2], 0.0f);
  EXPECT_EQ(y[3], 0.0f);
  EXPECT_EQ(y[4], 0.0f);
  EXPECT_TRUE(std::isnan(y[5]));
}

}  // namespace
}  // namespace tidal::cpu
#endif  // HWY_ONCE
