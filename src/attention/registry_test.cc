#include "attention/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "attention/expected_test_util.h"
#include "attention/layer_plan.h"
#include "attention/min_context.h"
#include "attention/sequence_test_util.h"
#include "testing/temp_folder.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using testing::HasSubstr;

constexpr int64_t kRowBytes = 2048;

std::shared_ptr<const AttentionMethod> make(const MethodOptions& options, int32_t n_layers = 30) {
  return make_method(options, n_layers, 6, 2, kRowBytes);
}

MethodOptions options_of(std::string name, std::string plan = "", std::string budget = "") {
  MethodOptions options;
  options.name = std::move(name);
  options.plan = std::move(plan);
  options.budget = std::move(budget);
  return options;
}

std::string error_of(const MethodOptions& options, ErrorCode code = ErrorCode::kInvalidArgument) {
  try {
    make(options);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    return error.what();
  }
  return "no error";
}

TEST(Registry, KnowsTheMethods) {
  EXPECT_THAT(method_names(),
              testing::IsSupersetOf({"full", "tidal", "quest", "window", "oracle"}));
  for (const std::string_view name : method_names()) {
    EXPECT_EQ(make(options_of(std::string(name)))->name(), name);
  }
  const std::string message = error_of(options_of("fulll"), ErrorCode::kUnsupported);
  EXPECT_THAT(message, HasSubstr("unknown method 'fulll'"));
  for (const std::string_view name : method_names()) EXPECT_THAT(message, HasSubstr(name));
}

TEST(Registry, DefaultPlans) {
  EXPECT_EQ(make(options_of("tidal"))->plan_line(), print_plan_line(preset_plan("tidal", 30)));
  EXPECT_EQ(make(options_of("full"))->plan_line(), "full:0-29");
  EXPECT_EQ(make(options_of("full"), 1)->plan_line(), "full:0");
  EXPECT_EQ(make(options_of("window"))->plan_line(), "budget:512 sinks:4 correct:0");
  EXPECT_EQ(make(options_of("quest"))->plan_line(), "full:0-1 budget:512 page:16 correct:0");
  EXPECT_EQ(make(options_of("oracle"))->plan_line(),
            "full:0-1 budget:512 scope:q pool:raw sinks:0 recent:0 correct:0");
}

TEST(Registry, OnePlanServesEveryMethod) {
  const std::string plan =
      "full:0-2 select:3,9 budget:256 scope:all pool:softmax sinks:4 recent:16 own:on page:32 "
      "correct:8";
  EXPECT_EQ(make(options_of("tidal", plan))->plan_line(),
            "full:0-2 select:3,9 budget:256 scope:all pool:softmax sinks:4 recent:16 own:on "
            "correct:8");
  EXPECT_EQ(make(options_of("quest", plan))->plan_line(), "full:0-2 budget:256 page:32 correct:8");
  EXPECT_EQ(make(options_of("window", plan))->plan_line(), "budget:256 sinks:4 correct:8");
  EXPECT_EQ(make(options_of("oracle", plan))->plan_line(),
            "full:0-2 budget:256 scope:all pool:softmax sinks:4 recent:16 correct:8");
}

TEST(Registry, TheBudgetOptionOverridesThePlan) {
  EXPECT_THAT(make(options_of("tidal", "paper", "64"))->plan_line(), HasSubstr("budget:64 "));
  EXPECT_THAT(make(options_of("window", "budget:9", "12.5%"))->plan_line(),
              HasSubstr("budget:12.5% "));
  EXPECT_THAT(error_of(options_of("tidal", "tidal", "20")), HasSubstr("budget:20 is below sinks"));
  EXPECT_THAT(error_of(options_of("oracle", "tidal", "20")), HasSubstr("budget:20 is below sinks"));
  EXPECT_THAT(error_of(options_of("tidal", "", "much")), HasSubstr("budget:much"));
  // Only keys in force count.
  EXPECT_EQ(make(options_of("window", "tidal", "20"))->plan_line(), "budget:20 sinks:4 correct:0");
  EXPECT_THAT(error_of(options_of("window", "tidal", "4")), HasSubstr("budget:4 is below sinks"));
  EXPECT_THAT(make(options_of("quest", "tidal", "16"))->plan_line(), HasSubstr("budget:16"));
}

TEST(Registry, QuestReadsAtLeastOnePage) {
  EXPECT_THAT(error_of(options_of("quest", "budget:15")),
              HasSubstr("budget:15 is below one page of 16 rows"));
  EXPECT_THAT(error_of(options_of("quest", "budget:10%min8")), HasSubstr("below one page"));
  EXPECT_EQ(make(options_of("quest", "budget:10%"))->plan_line(),
            "full:0-1 budget:10%min16 page:16 correct:0");
}

TEST(Registry, TheCorrectionStrideComesFromOptionOrPlan) {
  MethodOptions options = options_of("tidal", "correct:8");
  EXPECT_EQ(make(options)->correct_every(), 8);
  options.correct_every = 4;
  EXPECT_EQ(make(options)->correct_every(), 4);
  EXPECT_THAT(make(options)->plan_line(), testing::EndsWith("correct:4"));
  options.correct_every = 0;
  EXPECT_EQ(make(options)->correct_every(), 0);
  options.name = "full";
  options.correct_every = 4;
  EXPECT_EQ(make(options)->correct_every(), 0) << "nothing to correct";
  options.correct_every = -2;
  EXPECT_THAT(error_of(options), HasSubstr("`correct_every` is -2"));
}

TEST(Registry, ShortContextsAreDense) {
  MethodOptions options = options_of("tidal", "budget:64");
  const int64_t crossover = default_min_context(parse_plan_line("budget:64", 30), kRowBytes);
  EXPECT_TRUE(make(options)->dense(crossover - 1));
  EXPECT_FALSE(make(options)->dense(crossover));
  const auto window = make(options_of("window", "budget:64 sinks:4"));
  EXPECT_TRUE(window->dense(kDefaultMinContext - 1));
  EXPECT_FALSE(window->dense(kDefaultMinContext));
  options.min_context = 0;
  EXPECT_TRUE(make(options)->dense(64)) << "within the budget";
  EXPECT_FALSE(make(options)->dense(65));
  options.min_context = 4096;
  EXPECT_TRUE(make(options)->dense(4095));
  EXPECT_FALSE(make(options)->dense(4096));
  options.min_context = -2;
  EXPECT_THAT(error_of(options), HasSubstr("`min_context` is -2"));
  options = options_of("full");
  options.min_context = 0;
  EXPECT_TRUE(make(options)->dense(1'000'000));
}

TEST(Registry, BadPlansAreRefusedByEveryMethod) {
  for (const std::string_view name : method_names()) {
    EXPECT_THAT(error_of(options_of(std::string(name), "scope:x")), HasSubstr("scope:x"));
  }
}

TEST(Registry, ThePresetTidalIsThePlanFileBesideTheModel) {
  const TempFolder folder;
  const LayerPlan plan = parse_plan_line("full:0 select:1,7 budget:99 scope:kv", 30);
  const std::string path = folder.write("beside.plan.json", plan_to_json(plan, {6, 2}).dump());
  MethodOptions options = options_of("tidal");
  options.default_plan_file = path;
  EXPECT_EQ(make(options)->plan_line(), print_plan_line(plan));
  options.plan = "tidal";
  EXPECT_EQ(make(options)->plan_line(), print_plan_line(plan));
  options.plan = "paper";
  EXPECT_EQ(make(options)->plan_line(), print_plan_line(preset_plan("paper", 30)));
  options.plan = "tidal";
  try {
    make_method(options, 28, 6, 2, 2048);
    ADD_FAILURE();
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr(path)) << "another model's plan";
  }
}

// A head map and a source other than the nearest, which only a plan file can express.
TEST(Registry, SourcesAndHeadMapsAreFollowed) {
  const TestShape shape;
  LayerPlan plan = parse_plan_line("full:none select:0,2 budget:24 scope:q", shape.n_layers);
  plan.layers[3].source = 0;
  plan.layers[4].head_map = {5, 4, 3, 2, 1, 0};
  const TempFolder folder;
  const std::string path =
      folder.write("head_map.json", plan_to_json(plan, {shape.n_heads, shape.n_kv_heads}).dump());
  MethodOptions options = options_of("tidal", path);
  options.min_context = 0;
  TestSequence sequence(
      shape, make_method(options, shape.n_layers, shape.n_heads, shape.n_kv_heads, 2048), 256);
  sequence.append(150);
  const auto step = [&](int32_t layer) {
    return sequence.method().plan_layer(layer, 150, sequence.state()).read;
  };
  const auto picks = [&](int32_t layer) {
    return std::get<ReadAllAndPick>(step(layer)).pick.picks;
  };
  const Selection third = std::get<ReadSelection>(step(3)).rows;
  const Selection fourth = std::get<ReadSelection>(step(4)).rows;
  EXPECT_EQ(third.positions, picks(0).positions);
  EXPECT_EQ(third.head_map, nullptr);
  EXPECT_EQ(fourth.positions, picks(2).positions);
  ASSERT_NE(fourth.head_map, nullptr);
  for (int32_t head = 0; head < 6; ++head) EXPECT_EQ(fourth.list_of_head(head, 6), 5 - head);

  const std::unique_ptr<Backend> backend = make_backend("reference", 1);
  AttentionRunner runner(*backend, shape.n_heads, 256, 1);
  const Expectation expectation(sequence, plan);
  for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
    const Expected expected = expectation.layer(layer);
    const std::vector<double> exact = expectation.attend(layer, expected);
    const int64_t before = sequence.state().rows().k;
    const std::vector<float> out = sequence.run(runner, layer);
    for (size_t i = 0; i < out.size(); ++i) EXPECT_NEAR(out[i], exact[i], 1e-5) << layer;
    EXPECT_EQ(sequence.state().rows().k - before, expected.read.k) << layer;
  }
}

}  // namespace
}  // namespace tidal::test
