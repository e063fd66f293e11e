#include "engine/draft_length.h"

#include <gtest/gtest.h>

namespace tidal {
namespace {

// Milliseconds of a draft step, of full attention's step, and of each further row it verifies.
struct Costs {
  double draft, step, row;
};

// Rounds until n tokens are there; how many were drafted in the end, and what it all took.
struct Outcome {
  int32_t last = 0;
  double milliseconds = 0;
};

Outcome simulate(const Costs& costs, double acceptance, int n) {
  DraftLength length;
  Outcome outcome;
  for (double tokens = 0; tokens < n;) {
    const int32_t drafts = length.choose(acceptance);
    for (int32_t i = 0; i < drafts; ++i) length.drafted(costs.draft);
    const double verification = costs.step + drafts * costs.row;
    length.verified(drafts + 1, verification);
    outcome.milliseconds += drafts * costs.draft + verification;
    double right = 1;
    for (int32_t i = 0; i <= drafts; ++i, right *= acceptance) tokens += right;
    if (drafts > 0) outcome.last = drafts;
  }
  return outcome;
}

TEST(DraftLength, DraftsWhatPays) {
  // Cheap drafts and rows: many; the optimum of (1 + a + ... + a^n) / (10 + n * 1.2) at a = 0.9
  // is 6.
  EXPECT_EQ(simulate({1, 10, 0.2}, 0.9, 300).last, 9);
  EXPECT_LT(simulate({1, 10, 0.2}, 0.9, 300).milliseconds, 300 * 10 / 2.5);
  // One after the other would take as long: hardly any.
  EXPECT_GE(simulate({1, 10, 0.2}, 0.5, 300).last, 1);
  EXPECT_LE(simulate({1, 10, 0.2}, 0.5, 300).last, 2);
}

TEST(DraftLength, TryingCostsLessThanTwoPercentWhereNothingPays) {
  for (const Costs& costs : {Costs{9, 10, 7}, Costs{10, 10, 10}, Costs{5, 10, 9}}) {
    for (const double acceptance : {0.0, 0.3, 0.6}) {
      EXPECT_LT(simulate(costs, acceptance, 400).milliseconds, 1.02 * 400 * 10)
          << costs.draft << " " << acceptance;
    }
  }
}

TEST(DraftLength, FreeDraftsNeedNoMethod) {
  DraftLength length;
  EXPECT_EQ(length.choose_free(0.9), 0) << "nothing was measured";
  length.verified(1, 10);
  EXPECT_EQ(length.choose_free(0.9, 8), 1) << "one tells what a row costs";
  length.verified(2, 10.5);
  EXPECT_EQ(length.choose_free(0.95, 8), 8);
  EXPECT_EQ(length.choose_free(0), 0);
}

TEST(DraftLength, TheFirstRoundsMeasure) {
  DraftLength length;
  EXPECT_EQ(length.choose(1), 0);
  length.verified(1, 10);
  EXPECT_EQ(length.choose(1), 1);
  EXPECT_EQ(length.choose(1, 0), 0);
}

}  // namespace
}  // namespace tidal
