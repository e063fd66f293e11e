#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "attention/layer_plan.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

std::string error_of(std::string_view line, int32_t n_layers = 30) {
  try {
    parse_plan_line(line, n_layers);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
    return error.what();
  }
  return "no error";
}

std::string canonical(std::string_view line, int32_t n_layers = 30) {
  return print_plan_line(parse_plan_line(line, n_layers));
}

TEST(PlanLine, ReadsEveryKey) {
  const LayerPlan plan = parse_plan_line(
      "full:0-1,5 select:2,8 budget:512 scope:all pool:softmax sinks:4 recent:16 own:on page:32 "
      "correct:8",
      12);
  ASSERT_EQ(plan.n_layers(), 12);
  for (int32_t layer = 0; layer < 12; ++layer) {
    const LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
    const bool full = layer <= 1 || layer == 5;
    const bool select = layer == 2 || layer == 8;
    EXPECT_EQ(spec.role, full     ? LayerRole::kFull
                         : select ? LayerRole::kSelect
                                  : LayerRole::kSparse);
    EXPECT_EQ(spec.source, full || select ? -1 : layer < 8 ? 2 : 8) << layer;
    EXPECT_TRUE(spec.head_map.empty());
  }
  EXPECT_EQ(plan.budget, (Budget{512, 0}));
  EXPECT_EQ(plan.scope, HeadScope::kAll);
  EXPECT_EQ(plan.pooling, Pooling::kSoftmax);
  EXPECT_EQ(plan.sinks, 4);
  EXPECT_EQ(plan.recent, 16);
  EXPECT_TRUE(plan.own);
  EXPECT_EQ(plan.page, 32);
  EXPECT_EQ(plan.correct_every, 8);
}

TEST(PlanLine, WhatIsLeftOutHasPapersValue) {
  EXPECT_EQ(parse_plan_line("", 30), preset_plan("paper", 30));
  EXPECT_EQ(parse_plan_line("  \t ", 32), preset_plan("paper", 32));
  EXPECT_EQ(canonical("scope:kv"),
            "full:0-1 select:2,12 budget:1024 scope:kv pool:raw sinks:0 recent:0 own:off "
            "correct:0");
  EXPECT_EQ(canonical("select:2,8"),
            "full:0-1 select:2,8 budget:1024 scope:q pool:raw sinks:0 recent:0 own:off correct:0");
}

TEST(PlanLine, SelectingLayersMakeRoomForFullOnes) {
  const auto select = [](std::string_view line, int32_t n_layers) {
    constexpr std::string_view kKeys[] = {"select"};
    return print_plan_line(parse_plan_line(line, n_layers), kKeys);
  };
  EXPECT_EQ(select("full:0", 30), "select:1,12");
  EXPECT_EQ(select("full:0-5", 30), "select:6,12");
  EXPECT_EQ(select("full:0-1,7", 30), "select:2,12");
  EXPECT_EQ(select("full:0-1,12", 30), "select:2");
  EXPECT_EQ(select("full:0-20", 30), "select:21");
  EXPECT_EQ(select("full:none", 30), "select:0,12");
  EXPECT_EQ(select("full:0-29", 30), "select:none");
  EXPECT_EQ(select("full:none", 2), "select:0");
  EXPECT_EQ(select("full:none", 5), "select:0,2");
}

TEST(PlanLine, ModelsWithoutFullOrWithoutSelectingLayers) {
  const LayerPlan none = parse_plan_line("full:none select:0,1,8", 12);
  EXPECT_EQ(none.layers[0].role, LayerRole::kSelect);
  EXPECT_EQ(none.layers[11].source, 8);
  EXPECT_THAT(print_plan_line(none), testing::StartsWith("full:none select:0-1,8 "));
  EXPECT_THAT(canonical("full:0-4 select:none", 5), testing::StartsWith("full:0-4 select:none "));
}

TEST(PlanLine, PrintsCanonically) {
  EXPECT_EQ(canonical(" correct:4  own:on\tselect:12,2,3 full:1,0 budget:10% "),
            "full:0-1 select:2-3,12 budget:10% scope:q pool:raw sinks:0 recent:0 own:on "
            "correct:4");
  EXPECT_THAT(canonical("page:64"), testing::EndsWith("own:off page:64 correct:0"));
  EXPECT_THAT(canonical("rest:256"), testing::EndsWith("own:off rest:256 correct:0"));
  EXPECT_THAT(canonical("rest:0"), testing::EndsWith("own:off correct:0"));
}

TEST(PlanLine, ErrorsNameTheKey) {
  using testing::HasSubstr;
  EXPECT_THAT(error_of("colour:red"), HasSubstr("unknown key 'colour'"));
  EXPECT_THAT(error_of("colour:red"), HasSubstr("full select budget scope"));
  EXPECT_THAT(error_of("paper"), HasSubstr("unknown key 'paper'"));
  EXPECT_THAT(error_of("budget"), HasSubstr("'budget' has no value"));
  EXPECT_THAT(error_of("budget:"), HasSubstr("'budget:' has no value"));
  EXPECT_THAT(error_of(":5"), HasSubstr("unknown key ''"));
  EXPECT_THAT(error_of("budget:64 scope:q budget:64"), HasSubstr("budget is given twice"));
  EXPECT_THAT(error_of("scope:heads"), HasSubstr("scope:heads is unknown, use q or kv or all"));
  EXPECT_THAT(error_of("pool:max"), HasSubstr("pool:max is unknown"));
  EXPECT_THAT(error_of("own:yes"), HasSubstr("own:yes is unknown"));
  EXPECT_THAT(error_of("sinks:-1"), HasSubstr("sinks:-1 is not a whole number"));
  EXPECT_THAT(error_of("recent:1.5"), HasSubstr("recent:1.5 is not"));
  EXPECT_THAT(error_of("page:0"), HasSubstr("page:0 is not a whole number of at least 1"));
  EXPECT_THAT(error_of("correct:x"), HasSubstr("correct:x"));
  EXPECT_THAT(error_of("sinks:4294967296"), HasSubstr("sinks:4294967296"));
  EXPECT_THAT(error_of("budget:0"), HasSubstr("budget:0"));
  EXPECT_THAT(error_of("budget:20 sinks:4 recent:16"), HasSubstr("budget:20 is below"));
}

TEST(PlanLine, ErrorsNameTheLayer) {
  using testing::HasSubstr;
  EXPECT_THAT(error_of("full:0-30"), HasSubstr("full: layer 30 is out of range, the model has 30"));
  EXPECT_THAT(error_of("select:2,30"), HasSubstr("select: layer 30 is out of range"));
  EXPECT_THAT(error_of("full:1-0"), HasSubstr("full: the range 1-0 is reversed"));
  EXPECT_THAT(error_of("full:0,0-1"), HasSubstr("full: layer 0 is named twice"));
  EXPECT_THAT(error_of("select:2,8,2"), HasSubstr("select: layer 2 is named twice"));
  EXPECT_THAT(error_of("full:0-2 select:2,8"), HasSubstr("select: layer 2 is already full"));
  EXPECT_THAT(error_of("select:1,8"), HasSubstr("select: layer 1 is already full, say which"));
  EXPECT_THAT(error_of("full:0 select:2"), HasSubstr("layer 1 is sparse and no selecting layer"));
  EXPECT_THAT(error_of("select:none"), HasSubstr("layer 2 is sparse and no selecting layer"));
  for (const char* list : {"full:,", "full:1,", "full:,1", "full:a", "full:1-", "full:-1",
                           "full:1-2-3", "full:0--1", "full:nil", "full:0;1", "full:+1"}) {
    EXPECT_THAT(error_of(list), HasSubstr("is not a list of layers")) << list;
  }
}

// Any plan a line can express, with its keys shuffled, comes back the same.
TEST(PlanLine, PrintsAndParsesToItself) {
  std::mt19937 random(7);
  const auto below = [&](int n) {
    return static_cast<int32_t>(random() % static_cast<uint32_t>(n));
  };
  for (int trial = 0; trial < 3000; ++trial) {
    const int32_t n_layers = 1 + below(40);
    LayerPlan plan;
    plan.layers.resize(static_cast<size_t>(n_layers));
    int32_t source = -1;
    for (int32_t layer = 0; layer < n_layers; ++layer) {
      LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
      spec.role = static_cast<LayerRole>(below(source < 0 ? 2 : 3));
      if (spec.role == LayerRole::kSelect) source = layer;
      if (spec.role == LayerRole::kSparse) spec.source = source;
    }
    plan.sinks = below(2) * below(100);
    plan.recent = below(2) * below(100);
    plan.budget.tokens = plan.sinks + plan.recent + 1 + below(5000);
    if (below(2) == 0) {
      plan.budget.share_millionths = 1 + below(1'000'000);
      if (below(2) == 0) plan.budget.tokens = 0;
    }
    plan.scope = static_cast<HeadScope>(below(3));
    plan.pooling = static_cast<Pooling>(below(2));
    plan.page = below(2) == 0 ? 16 : 1 + below(500);
    plan.rest = below(2) == 0 ? 0 : 1 + below(500);
    plan.own = below(2) == 1;
    plan.correct_every = below(2) * below(1000);
    const std::string line = print_plan_line(plan);
    ASSERT_EQ(parse_plan_line(line, n_layers), plan) << line;
    ASSERT_EQ(canonical(line, n_layers), line);
  }
}

// Random edits of a line parse or throw Error; nothing else happens.
TEST(PlanLine, SurvivesAnything) {
  std::mt19937 random(11);
  const std::string alphabet = "0123456789-,:%. fullselectbudgetminqkva";
  for (int trial = 0; trial < 20000; ++trial) {
    std::string line = "full:0-1 select:2,8 budget:10%min64 scope:kv sinks:4";
    for (int edit = 0; edit < 1 + trial % 5; ++edit) {
      const size_t at = random() % line.size();
      if (random() % 3 == 0) {
        line.erase(at, 1);
      } else {
        line[at] = alphabet[random() % alphabet.size()];
      }
    }
    try {
      const LayerPlan plan = parse_plan_line(line, 12);
      EXPECT_EQ(parse_plan_line(print_plan_line(plan), 12), plan) << line;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument) << line;
    }
  }
}

}  // namespace
}  // namespace tidal::test
