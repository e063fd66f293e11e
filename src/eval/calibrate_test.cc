#include "eval/calibrate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "testing/paths.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using testing::ElementsAre;

TEST(HeldOut, FiguresAddUpByToken) {
  HeldOutFigures a{.divergence = 1, .tokens = 1, .recovered = 1, .answers = 1, .rows = {1, 2}};
  a += {.divergence = 4, .tokens = 2, .recovered = 0, .answers = 1, .rows = {1, 2}};
  EXPECT_DOUBLE_EQ(a.divergence, 3);
  EXPECT_EQ(a.recovered, 1);
  EXPECT_EQ(a.answers, 2);
  EXPECT_DOUBLE_EQ(a.rows.share(), 0.5);
}

TEST(Calibrate, SelectingLayersServeWhatFollows) {
  const LayerPlan plan = with_selecting(parse_plan_line("full:0,4", 8), std::vector<int32_t>{1, 5});
  EXPECT_EQ(plan.layers[3].source, 1);
  EXPECT_EQ(plan.layers[4].role, LayerRole::kFull);
  EXPECT_EQ(plan.layers[7].source, 5);
  EXPECT_THAT(layers_with(plan, LayerRole::kSelect), ElementsAre(1, 5));
  EXPECT_THAT(layers_with(plan, LayerRole::kFull), ElementsAre(0, 4));
}

TEST(Calibrate, RetrievalIsComparedAtAQuarter) {
  const LayerPlan plan = parse_plan_line("budget:512 sinks:4 recent:16", 8);
  EXPECT_EQ(retrieval_budget(plan, 4096), 128);
  const LayerPlan small = parse_plan_line("budget:64 sinks:4 recent:16", 8);
  EXPECT_EQ(retrieval_budget(small, 4096), 28) << "room for eight picks";
  const LayerPlan least = parse_plan_line("budget:21 sinks:4 recent:16", 8);
  EXPECT_EQ(retrieval_budget(least, 4096), 21);
}

class CalibrateRun : public testing::Test {
 protected:
  static std::vector<TokenId> tokens(int32_t first, int32_t n) {
    std::vector<TokenId> ids;
    for (int32_t i = first; i < first + n; ++i) ids.push_back(3 + (i * i + i / 7) % 200);
    return ids;
  }
  static Probe questions(int32_t first) {
    return {tokens(first, 100),
            {{tokens(5, 3), tokens(first + 20, 5)}, {tokens(9, 1), tokens(1, 2)}}};
  }
  Calibration run(
      int32_t n_select, const CalibrationReport& report = [](auto, auto, auto) {}) {
    EngineOptions options;
    options.threads = 1;
    CalibrationOptions settings;
    settings.plan = parse_plan_line(
        "full:0 select:1 budget:24 scope:all pool:softmax sinks:2 recent:4 own:on", 4);
    settings.n_select = n_select;
    settings.queries = 10;
    return calibrate(model_, options,
                     {{prose_probe(tokens(0, 140), 8)},
                      {questions(30)},
                      {prose_probe(tokens(70, 140), 8)},
                      {questions(55)}},
                     settings, report);
  }
  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
};

TEST_F(CalibrateRun, KeepsTheBestOfAll) {
  const Calibration found = run(2);
  // Layer 0 is full and layer 1 must select: with layer 2 or with layer 3.
  ASSERT_EQ(found.candidates.size(), 2u);
  EXPECT_LE(found.candidates[0].score(), found.candidates[1].score());
  EXPECT_EQ(layers_with(found.plan, LayerRole::kSelect), found.candidates[0].select);
  for (const Candidate& candidate : found.candidates) {
    EXPECT_EQ(candidate.prose.tokens, 8);
    EXPECT_EQ(candidate.retrieval.tokens, 7);
    EXPECT_EQ(candidate.retrieval.answers, 2);
    EXPECT_GT(candidate.prose.divergence, 0);
    EXPECT_GT(candidate.mass_prose, 0);
    EXPECT_LT(candidate.mass_prose, 1);
    EXPECT_LT(candidate.prose.rows.share(), 1);
  }
  EXPECT_EQ(found.plan.budget.tokens, 24);
}

TEST_F(CalibrateRun, SharesAreSharesAndOwnPicksAreTheBest) {
  const Calibration found = run(1);
  for (int32_t j = 0; j < 4; ++j) {
    for (int32_t i = 0; i <= j; ++i) {
      EXPECT_GE(found.prose.at(i, j), 0);
      EXPECT_LE(found.prose.at(i, j), found.prose.at(j, j) + 1e-9);
      EXPECT_LE(found.prose.at(j, j), 1 + 1e-9);
    }
  }
}

TEST_F(CalibrateRun, TheSameTwice) {
  const Calibration a = run(3);
  const Calibration b = run(3);
  EXPECT_EQ(a.plan, b.plan);
  EXPECT_EQ(a.candidates[0].score(), b.candidates[0].score());
}

TEST_F(CalibrateRun, AReportThatThrowsEndsIt) {
  std::map<std::string, int> stages;
  run(2, [&](std::string_view stage, int64_t done, int64_t total) {
    ++stages[std::string(stage)];
    EXPECT_LE(done, total);
  });
  EXPECT_EQ(stages.size(), 3u);
  for (const auto& stage : stages) {
    const auto stop = [&](std::string_view now, int64_t, int64_t) {
      if (now == stage.first) throw std::runtime_error("stop");
    };
    EXPECT_THROW(run(2, stop), std::runtime_error);
  }
}

}  // namespace
}  // namespace tidal::test
