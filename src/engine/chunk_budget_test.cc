#include "engine/chunk_budget.h"

#include <gtest/gtest.h>

namespace tidal::test {
namespace {

TEST(ChunkBudget, APromptThatIsAloneTakesAWholeChunk) {
  ChunkBudget budget(512);
  EXPECT_EQ(budget.rows(0), 512);
  budget.measured(512, 0, 100);
  EXPECT_EQ(budget.rows(0), 512);
}

TEST(ChunkBudget, BesideOthersItTakesTwiceAStep) {
  ChunkBudget budget(512);
  EXPECT_EQ(budget.rows(3), 4) << "nothing is known yet";
  budget.measured(0, 3, 0.030);
  budget.measured(16, 3, 0.030 + 0.016);  // but half of the step at least: 1.4 ms a row
  EXPECT_EQ(budget.rows(3), 41);
  budget.measured(41, 3, 0.030 + 0.060);
  EXPECT_EQ(budget.rows(1), static_cast<int32_t>(0.060 / ((0.0230 / 16 + 0.060 / 41) / 2)));
}

TEST(ChunkBudget, NeverMoreThanAQuarterOfASecondAndNeverLessThanFourRows) {
  ChunkBudget budget(512);
  budget.measured(512, 0, 0.512);  // 1 ms a row
  budget.measured(0, 8, 5);
  EXPECT_EQ(budget.rows(8), 250);
  ChunkBudget slow(512);
  slow.measured(100, 0, 10);
  EXPECT_EQ(slow.rows(8), 4);
  ChunkBudget small(2);
  EXPECT_EQ(small.rows(8), 2);
}

}  // namespace
}  // namespace tidal::test
