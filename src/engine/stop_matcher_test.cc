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

TEST(StopMatcher, WhatEndsTooEarlyIsNoMatch) {
  StopMatcher matcher({"ab", "abcd"});
  EXPECT_EQ(matcher.push("xab", false), "x") << "may begin the longer one";
  EXPECT_EQ(matcher.push("c"), "");
  EXPECT_FALSE(matcher.matched()) << "ab ended before";
  EXPECT_EQ(matcher.push("d"), "");
  EXPECT_TRUE(matcher.matched()) << "abcd ends now, wherever it began";
}

TEST(StopMatcher, OverlappingBeginnings) {
  StopMatcher matcher({"aab"});
  EXPECT_EQ(matcher.push("aaa"), "a");
  EXPECT_EQ(matcher.push("b"), "");
  EXPECT_TRUE(matcher.matched());
}

}  // namespace
}  // namespace tidal::test
