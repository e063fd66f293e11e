#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

namespace tidal::test {
namespace {

TEST(StopMatcher, PassesTextWithoutStops) {
  StopMatcher matcher({""});
  EXPECT_EQ(matcher.push("anything"), "anything");
  EXPECT_EQ(matcher.flush(), "");
  EXPECT_FALSE(matcher.matched());
}

TEST(StopMatcher, FindsAStopAcrossPieces) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("text E"), "text ");
  EXPECT_EQ(matcher.push("N"), "");
  EXPECT_EQ(matcher.push("D more"), "");
  EXPECT_TRUE(matcher.matched());
  EXPECT_EQ(matcher.push("still more"), "");
  EXPECT_EQ(matcher.flush(), "");
}

TEST(StopMatcher, ReleasesWhatTurnsOutHarmless) {
  StopMatcher matcher({"END"});
  EXPECT_EQ(matcher.push("EN"), "");
  EXPECT_EQ(matcher.push("EMY"), "ENEMY");
  EXPECT_EQ(matcher.push("EN"), "");
  EXPECT_EQ(matcher.flush(), "EN");
}

TEST(StopMatcher, TheEarliestMatchWins) {
  StopMatcher matcher({"bc", "abcd"});
  EXPECT_EQ(matcher.push("xxabcd"), "xx");
  EXPECT_TRUE(matcher.matched());
}

TEST(StopMatcher, OverlappingBeginnings) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.push("aaa"), "a");
  EXPECT_EQ(matcher.push("b"), "");
  EXPECT_TRUE(matcher.matched());
}

}  // namespace
}  // namespace tidal::test
