// The promises every method makes, on every back end, for several ratios of query to KV heads.

#include "attention/method.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "attention/expected_test_util.h"
#include "attention/registry.h"
#include "attention/sequence_test_util.h"

namespace tidal::test {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr int64_t kMaxLength = 320;

struct MethodCase {
  const char* method;
  const char* plan;
};

constexpr MethodCase kCases[] = {
    {"full", "paper"},
    {"window", "budget:40 sinks:4"},
    {"window", "budget:1"},
    {"window", "budget:15% sinks:3"},
    {"quest", "full:0-1 budget:64"},
    {"quest", "full:none budget:53 page:8"},
    {"quest", "full:3 budget:20% page:7"},
    {"oracle", "full:0-1 budget:48"},
    {"oracle", "full:none budget:33 scope:kv pool:raw sinks:2 recent:5"},
    {"oracle", "full:0 budget:20% scope:all pool:softmax"},
    {"tidal", "full:0-1 select:2,4 budget:48 scope:q pool:raw"},
    {"tidal", "full:0-1 select:2,4 budget:48 scope:q pool:softmax own:on"},
    {"tidal", "full:0-1 select:2,4 budget:48 scope:kv pool:raw own:on sinks:4 recent:8"},
    {"tidal", "full:0-1 select:2,4 budget:48 scope:kv pool:softmax"},
    {"tidal", "full:0-1 select:2,4 budget:48 scope:all pool:raw"},
    {"tidal", "full:0-1 select:2,4 budget:48 scope:all pool:softmax sinks:4 recent:16 own:on"},
    {"tidal", "full:none select:0,3 budget:1 scope:q"},
    {"tidal", "full:4 select:0 budget:25%min30 scope:all pool:softmax sinks:1 own:on"},
    {"tidal", "tidal"},
    {"tidal", "paper"},
};

struct HeadRatio {
  int32_t n_heads;
  int32_t n_kv_heads;
};
constexpr HeadRatio kRatios[] = {{3, 3}, {6, 2}, {8, 2}};

class MethodTest : public testing::TestWithParam<std::tuple<std::string, MethodCase>> {
 protected:
  MethodTest() : backend_(make_backend(std::get<0>(GetParam()), 1)) {}

  const MethodCase& method_case() const { return std::get<1>(GetParam()); }

  static TestShape shape_of(HeadRatio ratio) {
    TestShape shape;
    shape.n_heads = ratio.n_heads;
    shape.n_kv_heads = ratio.n_kv_heads;
    return shape;
  }

  std::shared_ptr<const AttentionMethod> method(const TestShape& shape, const char* budget = "",
                                                int64_t min_context = 0) const {
    MethodOptions options;
    options.name = method_case().method;
    options.plan = method_case().plan;
    options.budget = budget;
    options.min_context = min_context;
    return make_method(options, shape.n_layers, shape.n_heads, shape.n_kv_heads, 2048);
  }

  // The presets' own budgets exceed these short sequences.
  bool is_preset() const {
    return std::string_view(method_case().plan).find(':') == std::string::npos;
  }
  const char* small_budget() const { return is_preset() ? "40" : ""; }
  LayerPlan plan_in_test(const TestShape& shape) const {
    LayerPlan plan =
        resolve_plan(method_case().plan, shape.n_layers, {shape.n_heads, shape.n_kv_heads});
    if (is_preset()) plan.budget = parse_budget("40");
    return plan;
  }
  TestSequence sequence(const TestShape& shape, int64_t length) const {
    TestSequence sequence(shape, method(shape, small_budget()), kMaxLength, backend_->memory());
    sequence.append(length);
    return sequence;
  }

  AttentionRunner runner(const TestShape& shape, int64_t max_context = kMaxLength,
                         int32_t max_sequences = 1) const {
    backend_->reserve({1, shape.n_heads * shape.head_dim, max_context, max_sequences, shape.n_heads,
                       shape.n_kv_heads, shape.head_dim});
    return AttentionRunner(*backend_, shape.n_heads, max_context, max_sequences);
  }

  template <typename F>
  void for_each_ratio(F&& f) const {
    for (const HeadRatio ratio : kRatios) {
      SCOPED_TRACE(fmt::format("{} query heads, {} KV heads", ratio.n_heads, ratio.n_kv_heads));
      f(shape_of(ratio));
      if (HasFatalFailure()) return;
    }
  }

  std::unique_ptr<Backend> backend_;
};

TEST_P(MethodTest, ReadsTheRowsOfItsDefinitionAndCountsThem) {
  for_each_ratio([&](const TestShape& shape) {
    AttentionRunner runner = this->runner(shape);
    TestSequence sequence = this->sequence(shape, 200);
    const LayerPlan plan = plan_in_test(shape);
    for (int step = 0; step < 3; ++step) {
      sequence.append(1);
      const Expectation expectation(sequence, plan);
      for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
        const RowsRead before = sequence.state().rows();
        const int64_t total = sequence.state().rows_total;
        const std::vector<float> out = sequence.run(runner, layer);
        const Expected expected = expectation.layer(layer);
        const std::vector<double> exact = expectation.attend(layer, expected);
        for (size_t i = 0; i < out.size(); ++i) {
          ASSERT_NEAR(out[i], exact[i], 2e-4) << "layer " << layer << " element " << i;
        }
        EXPECT_EQ(sequence.state().rows().k - before.k, expected.read.k) << "layer " << layer;
        EXPECT_EQ(sequence.state().rows().v - before.v, expected.read.v) << "layer " << layer;
        EXPECT_EQ(sequence.state().rows_total - total, sequence.length() * shape.n_kv_heads);
      }
    }
  });
}

TEST_P(MethodTest, ABudgetOfTheLengthIsFullAttention) {
  for_each_ratio([&](const TestShape& shape) {
    AttentionRunner runner = this->runner(shape);
    MethodOptions full;
    full.name = "full";
    TestSequence reference(shape,
                           make_method(full, shape.n_layers, shape.n_heads, shape.n_kv_heads, 2048),
                           kMaxLength, backend_->memory());
    reference.append(100);
    const auto expected = reference.run(runner);
    for (const char* budget : {"100", "5000", "100%"}) {
      TestSequence sequence(shape, method(shape, budget), kMaxLength, backend_->memory());
      sequence.append(100);
      EXPECT_TRUE(sequence.method().dense(100));
      EXPECT_EQ(sequence.run(runner), expected) << budget;
      EXPECT_EQ(sequence.state().rows().k, reference.state().rows().k);
      EXPECT_EQ(sequence.state().rows().v, sequence.state().rows_total);
    }
    TestSequence short_context(shape, method(shape, small_budget(), 101), kMaxLength,
                               backend_->memory());
    short_context.append(100);
    EXPECT_EQ(short_context.run(runner), expected) << "below the minimum context";
    short_context.append(1);
    if (method_case().method != std::string_view("full")) {
      EXPECT_FALSE(short_context.method().dense(101));
      EXPECT_NE(short_context.run(runner), expected);
    }
  });
}

// Poisons what no query head of a KV head may read. A row that is only scored keeps its K.
TEST_P(MethodTest, UnselectedRowsChangeNothing) {
  for_each_ratio([&](const TestShape& shape) {
    AttentionRunner runner = this->runner(shape);
    TestSequence sequence = this->sequence(shape, 200);
    sequence.run(runner);  // brings Quest's bounds up to date, except for the newest row
    sequence.append(1);
    AttentionState before = sequence.state().clone();
    const auto expected = sequence.run(runner);
    const LayerPlan plan = plan_in_test(shape);
    const Expectation expectation(sequence, plan);
    std::vector<Expected> layers;
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      layers.push_back(expectation.layer(layer));
    }
    int64_t poisoned = 0;
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      const Expected& reading = layers[static_cast<size_t>(layer)];
      for (int32_t kv_head = 0; kv_head < shape.n_kv_heads; ++kv_head) {
        const std::set<int64_t> rows = expectation.rows_of_kv_head(reading, kv_head);
        for (int64_t row = 0; row < sequence.length(); ++row) {
          if (rows.count(row) > 0) continue;
          sequence.set(kPlaneV, layer, row, kv_head, kNan);
          if (!reading.scanned_k) sequence.set(kPlaneK, layer, row, kv_head, kNan);
          ++poisoned;
        }
      }
    }
    EXPECT_EQ(poisoned == 0, method_case().method == std::string_view("full"));
    sequence.state() = std::move(before);
    EXPECT_EQ(sequence.run(runner), expected);
  });
}

// Changing V changes no pick, so a layer can run again on its own.
TEST_P(MethodTest, EverySelectedRowCounts) {
  for_each_ratio([&](const TestShape& shape) {
    AttentionRunner runner = this->runner(shape);
    TestSequence sequence = this->sequence(shape, 150);
    const auto undisturbed = sequence.run(runner);
    const LayerPlan plan = plan_in_test(shape);
    const Expectation expectation(sequence, plan);
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      const Expected reading = expectation.layer(layer);
      for (int32_t kv_head = 0; kv_head < shape.n_kv_heads; ++kv_head) {
        const std::set<int64_t> rows = expectation.rows_of_kv_head(reading, kv_head);
        const int64_t stride = static_cast<int64_t>(rows.size()) / 6 + 1;
        int64_t index = 0;
        for (const int64_t row : rows) {
          if (index++ % stride != 0 && row != sequence.length() - 1) continue;
          const std::vector<float> v = sequence.load(kPlaneV, layer, row, kv_head);
          sequence.set(kPlaneV, layer, row, kv_head, 30000.0f);
          const std::vector<float> out = sequence.run(runner, layer);
          sequence.store(kPlaneV, layer, row, kv_head, v);
          for (int32_t head = 0; head < shape.n_heads; ++head) {
            const Rows& read = reading.rows[static_cast<size_t>(head)];
            const bool touched = expectation.kv_head(head) == kv_head &&
                                 std::binary_search(read.begin(), read.end(), row);
            const auto at = static_cast<size_t>(head * shape.head_dim);
            ASSERT_EQ(out[at] != undisturbed[static_cast<size_t>(layer)][at], touched)
                << "V row " << row << " of layer " << layer << ", seen by head " << head;
          }
        }
      }
    }
  });
}

TEST_P(MethodTest, RollbackAndRedoGivesTheSame) {
  for_each_ratio([&](const TestShape& shape) {
    AttentionRunner runner = this->runner(shape);
    TestSequence sequence = this->sequence(shape, 120);
    std::vector<std::vector<std::vector<float>>> outputs;
    for (int step = 0; step < 20; ++step) {
      sequence.append(1);
      outputs.push_back(sequence.run(runner));
    }
    // Other rows take their place for a while, as if they had always been there.
    sequence.truncate(125);
    TestSequence other = this->sequence(shape, 125);
    for (int step = 0; step < 40; ++step) {
      sequence.append(1, 99);
      other.append(1, 99);
      if (step % 8 != 0) continue;
      ASSERT_EQ(sequence.run(runner), other.run(runner)) << "step " << step;
    }
    sequence.truncate(125);
    for (size_t step = 5; step < outputs.size(); ++step) {
      sequence.append(1);
      ASSERT_EQ(sequence.run(runner), outputs[step]) << "step " << step;
    }
  });
}

TEST_P(MethodTest, AClonedStateGoesItsOwnWay) {
  for_each_ratio([&](const TestShape& shape) {
    AttentionRunner runner = this->runner(shape);
    const auto run_with = [&](uint64_t seed) {
      TestSequence alone = this->sequence(shape, 120);
      alone.run(runner);
      alone.append(30, seed);
      return alone.run(runner);
    };
    const auto expected_first = run_with(1);
    const auto expected_second = run_with(2);

    TestSequence first = this->sequence(shape, 120);
    first.run(runner);
    TestSequence second = first.fork();
    EXPECT_EQ(second.state().rows().k, 0) << "counts start over";
    EXPECT_EQ(second.state().rows_total, 0);
    first.append(30, 1);
    second.append(30, 2);
    EXPECT_EQ(second.run(runner), expected_second);
    EXPECT_EQ(first.run(runner), expected_first);
    AttentionState copy = first.state().clone();
    first.state() =
        AttentionState(backend_->memory(), nullptr);  // a clone needs nothing from its original
    first.state() = std::move(copy);
    EXPECT_EQ(first.run(runner), expected_first);
  });
}

TEST_P(MethodTest, ThePlanInForceMakesTheSameMethod) {
  const TestShape shape;
  const std::shared_ptr<const AttentionMethod> once = method(shape);
  MethodOptions options;
  options.name = once->name();
  options.plan = once->plan_line();
  options.min_context = 0;
  const auto twice = make_method(options, shape.n_layers, shape.n_heads, shape.n_kv_heads, 2048);
  EXPECT_EQ(twice->plan_line(), once->plan_line());
  EXPECT_EQ(twice->correct_every(), once->correct_every());
}

std::string case_name(const testing::TestParamInfo<MethodTest::ParamType>& info) {
  std::string name = fmt::format("{}_{}_{}", std::get<0>(info.param),
                                 std::get<1>(info.param).method, std::get<1>(info.param).plan);
  for (char& c : name) c = std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, MethodTest,
                         testing::Combine(testing::ValuesIn(backend_names()),
                                          testing::ValuesIn(kCases)),
                         case_name);

}  // namespace
}  // namespace tidal::test
