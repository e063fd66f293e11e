#include "attention/min_context.h"

#include <gtest/gtest.h>

namespace tidal::test {
namespace {

int64_t crossover(const char* line, int64_t row_bytes, int32_t n_layers = 30) {
  return default_min_context(parse_plan_line(line, n_layers), row_bytes);
}

constexpr const char* kPlan = "full:0-1 select:2,8,14,17,20 budget:512 scope:all own:on";

// (28 * 512 * 1.5 + 5 * 750000 / 768) / (28 - 5 / 2) = 1034.7
TEST(MinContext, FollowsFromPlanAndRow) { EXPECT_EQ(crossover(kPlan, 768), 1035); }

TEST(MinContext, WideRowsPayEarlier) {
  EXPECT_LT(crossover(kPlan, 4096), crossover(kPlan, 768));
  EXPECT_LT(crossover(kPlan, 768), crossover(kPlan, 408)) << "the same rows in q8_0";
  EXPECT_GT(crossover(kPlan, 1 << 30), 512) << "never within the budget";
}

TEST(MinContext, MoreReadingPaysLater) {
  const int64_t at = crossover(kPlan, 768);
  EXPECT_GT(crossover("full:0-1 select:2,8,14,17,20 budget:512 scope:q own:on", 768), at);
  EXPECT_GT(crossover("full:0-1 select:2,8,14,17,20 budget:900 scope:all own:on", 768), at);
}

TEST(MinContext, NeverBeyondTheMost) {
  EXPECT_EQ(crossover("full:0-1 select:2,14 budget:90% scope:all own:on", 768), kMaxMinContext);
  EXPECT_EQ(crossover("full:0-29", 768), kMaxMinContext);
}

}  // namespace
}  // namespace tidal::test
