#include "eval/experiment.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "testing/error.h"
#include "testing/paths.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

using testing::ElementsAre;

class ExperimentTest : public testing::Test {
 protected:
  std::vector<MethodCase> cases(const Comparison& comparison) const {
    return method_cases(comparison, {}, *model_, {});
  }
  // Two items, the first of 10 tokens and the second of 20.
  Experiment experiment(const std::vector<std::string>& methods, const std::string& log = "",
                        int seed = 1) const {
    return {cases({methods, {}, {}}),
            {{{{"item", "a"}}, 10}, {{{"item", "b"}}, 20}},
            log,
            {{"seed", seed}}};
  }
  // Runs it; each result is "item method".
  void run(Experiment& experiment, int stop_after = 100) {
    const auto measure = [&](size_t item, Experiment::Methods methods, const Progress& progress) {
      std::vector<Experiment::Result> results;
      for (const auto& method : methods) {
        measured_.push_back(std::to_string(item) + " " + std::string(method->name()));
        results.push_back({{{"is", measured_.back()}}, !unfinished_});
      }
      progress(5, 10);
      if (item == throw_at_) throw std::runtime_error("stop");
      return results;
    };
    const auto progress = [&](int64_t done, int64_t total) {
      progress_.push_back(std::to_string(done) + "/" + std::to_string(total));
    };
    experiment.run(measure, progress, [&] { return std::ssize(measured_) >= stop_after; });
  }
  static std::string is(const Experiment& experiment, size_t item, size_t method_case) {
    const auto* result = experiment.result(item, method_case);
    return result == nullptr ? "nothing" : result->at("is").get<std::string>();
  }

  TempFolder folder_;
  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
  std::vector<std::string> measured_;
  std::vector<std::string> progress_;
  bool unfinished_ = false;
  size_t throw_at_ = 100;
};

TEST_F(ExperimentTest, CombinesMethodsPlansAndBudgetsOnce) {
  std::vector<std::string> labels;
  const std::vector<std::string> methods = {"full", "tidal", "window"};
  for (const MethodCase& one : cases({methods, {"paper", "window=sinks:8"}, {"64", "32", "64"}})) {
    labels.push_back(one.label() + " " + one.budget);
  }
  EXPECT_THAT(labels, ElementsAre("full ", "tidal paper 64", "tidal paper 32", "window sinks:8 64",
                                  "window sinks:8 32"));
  const auto of_plans = cases({{}, {"quest=page:32", "paper"}, {}});
  ASSERT_EQ(of_plans.size(), 2u);
  EXPECT_EQ(of_plans[0].name(), "quest");
  EXPECT_EQ(of_plans[1].name(), "tidal");
}

TEST_F(ExperimentTest, MeasuresEveryPairAndTellsTheProgress) {
  Experiment both = experiment({"full", "window"});
  EXPECT_EQ(is(both, 0, 0), "nothing");
  run(both);
  EXPECT_THAT(measured_, ElementsAre("0 full", "0 window", "1 full", "1 window"));
  EXPECT_THAT(progress_, ElementsAre("5/30", "15/30"));
  EXPECT_EQ(is(both, 1, 1), "1 window");
  run(both);
  EXPECT_EQ(measured_.size(), 4u) << "nothing is measured twice";
}

TEST_F(ExperimentTest, ALaterRunMeasuresWhatTheLogLacks) {
  const std::string log = folder_.file("log.jsonl");
  {
    Experiment one = experiment({"window"}, log);
    run(one, /*stop_after=*/1);
    EXPECT_THAT(measured_, ElementsAre("0 window"));
  }
  Experiment both = experiment({"full", "window"}, log);
  EXPECT_EQ(is(both, 0, 1), "0 window");
  progress_.clear();
  run(both);
  EXPECT_THAT(measured_, ElementsAre("0 window", "0 full", "1 full", "1 window"));
  EXPECT_THAT(progress_, ElementsAre("5/30", "15/30"));
  expect_error(ErrorCode::kInvalidArgument, {"seed 1", "this run has 2", "log.jsonl"},
               [&] { experiment({"full"}, log, /*seed=*/2); });
}

TEST_F(ExperimentTest, UnfinishedResultsAreReportedAndMeasuredAgain) {
  const std::string log = folder_.file("log.jsonl");
  unfinished_ = true;
  {
    Experiment one = experiment({"full"}, log);
    run(one, /*stop_after=*/1);
    EXPECT_EQ(is(one, 0, 0), "0 full");
    EXPECT_EQ(is(one, 1, 0), "nothing");
  }
  unfinished_ = false;
  Experiment again = experiment({"full"}, log);
  EXPECT_EQ(is(again, 0, 0), "nothing");
  run(again);
  EXPECT_THAT(measured_, ElementsAre("0 full", "0 full", "1 full"));
}

TEST_F(ExperimentTest, KeepsWhatWasFinishedBeforeAMeasurementThrew) {
  Experiment one = experiment({"full"}, folder_.file("log.jsonl"));
  throw_at_ = 1;
  EXPECT_THROW(run(one), std::runtime_error);
  EXPECT_EQ(is(one, 0, 0), "0 full");
  EXPECT_EQ(is(one, 1, 0), "nothing");
}

}  // namespace
}  // namespace tidal::test
