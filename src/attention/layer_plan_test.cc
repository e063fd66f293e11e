#include "attention/layer_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tidal/error.h"

namespace tidal::test {
namespace {

std::string layers_line(const LayerPlan& plan) {
  constexpr std::string_view kKeys[] = {"full", "select"};
  return print_plan_line(plan, kKeys);
}

std::string error_of(const LayerPlan& plan, HeadCounts heads = {4, 2}) {
  try {
    validate(plan, heads);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

TEST(Preset, PaperHasTheReselectionLayersOfThePaper) {
  EXPECT_EQ(layers_line(preset_plan("paper", 32)), "full:0-1 select:2,13");
  EXPECT_EQ(layers_line(preset_plan("paper", 30)), "full:0-1 select:2,12");
  EXPECT_EQ(layers_line(preset_plan("paper", 28)), "full:0-1 select:2,11");
  EXPECT_EQ(layers_line(preset_plan("paper", 36)), "full:0-1 select:2,14");
  EXPECT_EQ(print_plan_line(preset_plan("paper", 30)),
            "full:0-1 select:2,12 budget:1024 scope:q pool:raw sinks:0 recent:0 own:off correct:0");
}

TEST(Preset, TidalSelectsAtFixedSharesOfTheLayers) {
  EXPECT_EQ(print_plan_line(preset_plan("tidal", 30)),
            "full:0-1 select:2,8,14,17,20 budget:512 scope:all pool:softmax sinks:4 recent:16 "
            "own:on correct:0");
  EXPECT_EQ(layers_line(preset_plan("tidal", 32)), "full:0-1 select:2,9,15,18,21");
  EXPECT_EQ(layers_line(preset_plan("tidal", 16)), "full:0-1 select:2,4,8-9,11");
}

TEST(Preset, SmallModelsHaveFewerSelectingLayers) {
  const char* paper[] = {"full:0 select:none", "full:0-1 select:none", "full:0-1 select:2",
                         "full:0-1 select:2",  "full:0-1 select:2",    "full:0-1 select:2",
                         "full:0-1 select:2-3"};
  const char* tidal[] = {"full:0 select:none",  "full:0-1 select:none", "full:0-1 select:2",
                         "full:0-1 select:2-3", "full:0-1 select:2-3",  "full:0-1 select:2-4",
                         "full:0-1 select:2-5"};
  for (int32_t n = 1; n <= 7; ++n) {
    EXPECT_EQ(layers_line(preset_plan("paper", n)), paper[n - 1]) << n;
    EXPECT_EQ(layers_line(preset_plan("tidal", n)), tidal[n - 1]) << n;
  }
}

TEST(Preset, IsValidForEveryNumberOfLayers) {
  for (int32_t n = 1; n <= 200; ++n) {
    for (const char* name : {"paper", "tidal"}) {
      const LayerPlan plan = preset_plan(name, n);
      EXPECT_EQ(plan.n_layers(), n);
      EXPECT_EQ(error_of(plan), "no error") << name << " of " << n;
      EXPECT_EQ(parse_plan_line(print_plan_line(plan), n), plan) << name << " of " << n;
    }
  }
}

TEST(Preset, UnknownNamesAreRefused) {
  try {
    preset_plan("papers", 30);
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kNotFound);
    EXPECT_THAT(error.what(), testing::HasSubstr("'papers'"));
  }
}

TEST(Budget, ASharesIsRoundedUpExactly) {
  // In floating point 0.07 * 100 exceeds 7 and would round up to 8.
  EXPECT_EQ(parse_budget("7%").at(100), 7);
  EXPECT_EQ(parse_budget("7%").at(101), 8);
  EXPECT_EQ(parse_budget("10%").at(1), 1);
  EXPECT_EQ(parse_budget("100%").at(12345), 12345);
  EXPECT_EQ(parse_budget("0.0001%").at(1'000'000), 1);
  EXPECT_EQ(parse_budget("0.0001%").at(1'000'001), 2);
  EXPECT_EQ(parse_budget("12.5%").at(80), 10);
  EXPECT_EQ(parse_budget("33.3333%").at(3'000'000'000'000), 999'999'000'000);
}

TEST(Budget, TokensAndFloorsDoNotDependOnTheLength) {
  EXPECT_EQ(parse_budget("512").at(10), 512);
  EXPECT_EQ(parse_budget("512").at(1'000'000), 512);
  EXPECT_EQ(parse_budget("10%min64").at(100), 64);
  EXPECT_EQ(parse_budget("10%min64").at(1000), 100);
}

TEST(Budget, AShareLeavesRoomForOnePick) {
  const LayerPlan plan = parse_plan_line("budget:10% sinks:4 recent:16", 30);
  EXPECT_EQ(plan.budget_at(100), 21);
  EXPECT_EQ(plan.budget_at(1000), 100);
}

TEST(Budget, PrintsAsItParses) {
  for (const char* text : {"1", "512", "10%", "12.5%", "0.0001%", "100%", "3.0303%min77"}) {
    EXPECT_EQ(print_budget(parse_budget(text)), text);
  }
  EXPECT_EQ(print_budget(parse_budget("10.50%")), "10.5%");
}

TEST(Budget, NonsenseIsRefused) {
  for (const char* text :
       {"",         "0",         "-1",  "abc",      "12x",         "%",      "0%",
        "101%",     "100.0001%", "-5%", "1e3",      "10%64",       "10%min", "10%min0",
        "10%min-1", "1.%",       ".5%", "1.23456%", "99999999999", "10%%",   " 10"}) {
    EXPECT_THROW(parse_budget(text), Error) << text;
  }
}

TEST(Validate, NamesWhatIsWrong) {
  const LayerPlan good = parse_plan_line("full:0 select:1 budget:8", 4);
  EXPECT_EQ(error_of(good), "no error");

  LayerPlan plan = good;
  plan.layers[3].source = 0;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("layer 3 reads layer 0"));
  plan.layers[3].source = 3;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("layer 3 reads layer 3"));
  plan.layers[3].source = 99;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("layer 3 reads layer 99"));
  plan.layers[3].source = -1;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("no selecting layer is before it"));

  plan = good;
  plan.layers[0].source = 1;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("layer 0 is not sparse"));
  plan = good;
  plan.layers[1].head_map = {0, 0, 0, 0};
  EXPECT_THAT(error_of(plan), testing::HasSubstr("layer 1 is not sparse"));

  plan = good;
  plan.sinks = -1;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("sinks:-1"));
  plan = good;
  plan.recent = -1;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("recent:-1"));
  plan = good;
  plan.page = 0;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("page:0"));
  plan = good;
  plan.correct_every = -1;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("correct:-1"));
  plan = good;
  plan.budget.share_millionths = 1'000'001;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("budget"));
}

TEST(Validate, TheBudgetHoldsSinksRecentAndOnePick) {
  LayerPlan plan = parse_plan_line("budget:21 sinks:4 recent:16", 30);
  plan.budget.tokens = 20;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("budget:20 is below sinks + recent + 1 = 21"));
  plan.budget = parse_budget("10%min20");
  EXPECT_THAT(error_of(plan), testing::HasSubstr("budget:10%min20 is below"));
  plan.budget = parse_budget("10%");
  EXPECT_EQ(error_of(plan), "no error");
}

TEST(Validate, HeadMapsFitTheModelAndTheScope) {
  LayerPlan plan = parse_plan_line("full:0 select:1 scope:kv", 4);
  plan.layers[2].head_map = {1, 0, 1, 0};
  EXPECT_EQ(error_of(plan), "no error");
  plan.layers[2].head_map = {1, 0, 1};
  EXPECT_THAT(error_of(plan), testing::HasSubstr("head_map of layer 2 has 3 entries"));
  plan.layers[2].head_map = {1, 0, 1, 2};
  EXPECT_THAT(error_of(plan), testing::HasSubstr("names list 2"));
  plan.layers[2].head_map = {1, 0, 1, -1};
  EXPECT_THAT(error_of(plan), testing::HasSubstr("names list -1"));
  plan.scope = HeadScope::kQueryHead;
  plan.layers[2].head_map = {3, 2, 1, 0};
  EXPECT_EQ(error_of(plan), "no error");
  plan.scope = HeadScope::kAll;
  EXPECT_THAT(error_of(plan), testing::HasSubstr("lists 0 to 0"));
}

}  // namespace
}  // namespace tidal::test
