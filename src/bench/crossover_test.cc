#include "bench/crossover.h"

#include <gtest/gtest.h>

#include <vector>

namespace tidal::test {
namespace {

std::optional<int64_t> of(const std::vector<DepthSpeedup>& speedups) { return crossover(speedups); }

TEST(Crossover, LiesOnTheLineBetweenLossAndGain) {
  EXPECT_EQ(of({{100, 0.8}, {200, 1.2}}), 150);
  EXPECT_EQ(of({{100, 0.9}, {300, 1.6}, {400, 2.0}}), 129);
}

TEST(Crossover, CountsTheLastLoss) {
  EXPECT_EQ(of({{100, 1.2}, {200, 0.9}, {300, 1.1}}), 250);
  EXPECT_EQ(of({{100, 1.2}, {200, 1.0}, {300, 1.1}}), 200);
}

TEST(Crossover, IsTheFirstDepthOrNone) {
  EXPECT_EQ(of({{100, 1.1}, {200, 1.2}}), 100);
  EXPECT_EQ(of({{100, 1.1}, {200, 0.9}}), std::nullopt);
  EXPECT_EQ(of({}), std::nullopt);
}

}  // namespace
}  // namespace tidal::test
