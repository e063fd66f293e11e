#include "base/checked.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>

namespace tidal::test {
namespace {

TEST(CheckedTest, AddsAndMultipliesWithinRange) {
  uint64_t u = 0;
  EXPECT_TRUE(checked_add<uint64_t>(UINT64_MAX - 1, 1, &u));
  EXPECT_EQ(u, UINT64_MAX);
  EXPECT_TRUE(checked_mul<uint64_t>(uint64_t{1} << 32, UINT32_MAX, &u));
  EXPECT_EQ(u, uint64_t{UINT32_MAX} << 32);
  int64_t i = 0;
  EXPECT_TRUE(checked_mul<int64_t>(INT64_MIN / 2, 2, &i));
  EXPECT_EQ(i, INT64_MIN);
}

TEST(CheckedTest, ReportsOverflow) {
  uint64_t u;
  EXPECT_FALSE(checked_add<uint64_t>(UINT64_MAX, 1, &u));
  EXPECT_FALSE(checked_mul<uint64_t>(uint64_t{1} << 32, uint64_t{1} << 32, &u));
  EXPECT_FALSE(checked_mul<uint64_t>(0x5555555555555556u, 3, &u));
  int64_t i;
  EXPECT_FALSE(checked_add<int64_t>(INT64_MAX, 1, &i));
  EXPECT_FALSE(checked_add<int64_t>(INT64_MIN, -1, &i));
  EXPECT_FALSE(checked_mul<int64_t>(INT64_MIN, -1, &i));
}

}  // namespace
}  // namespace tidal::test
