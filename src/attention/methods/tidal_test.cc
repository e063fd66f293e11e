// What only the method tidal promises: the rest of the rows, read as means.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "attention/registry.h"
#include "attention/sequence_test_util.h"

namespace tidal::test {
namespace {

constexpr int64_t kMaxLength = 320;

class TidalRestTest : public testing::TestWithParam<std::string> {
 protected:
  TidalRestTest()
      : backend_(make_backend(GetParam(), 1)), runner_(*backend_, shape_.n_heads, kMaxLength, 1) {
    backend_->reserve({1, shape_.n_heads * shape_.head_dim, kMaxLength, 1, shape_.n_heads,
                       shape_.n_kv_heads, shape_.head_dim});
  }

  std::shared_ptr<const AttentionMethod> method(const std::string& plan) const {
    MethodOptions options;
    options.name = "tidal";
    options.plan = plan;
    options.min_context = 0;
    return make_method(options, shape_.n_layers, shape_.n_heads, shape_.n_kv_heads, 2048);
  }

  TestShape shape_;
  std::unique_ptr<Backend> backend_;
  AttentionRunner runner_;
};

constexpr const char* kPlan =
    "full:none select:0,3 budget:20 scope:all pool:softmax sinks:4 recent:8 own:on rest:16";

// Nothing is left to pick here, and a block of one row is that row.
TEST_P(TidalRestTest, TheNewestRowAndBlocksOfOneAreFullAttention) {
  TestSequence sparse(shape_,
                      method("full:none select:0,3 budget:1 scope:all pool:softmax own:on rest:1"),
                      kMaxLength, backend_->memory());
  TestSequence full(shape_, method("full:0-5 select:none"), kMaxLength, backend_->memory());
  sparse.append(200);
  full.append(200);
  for (int step = 0; step < 3; ++step) {
    const auto got = sparse.run(runner_);
    const auto expected = full.run(runner_);
    for (size_t layer = 0; layer < got.size(); ++layer) {
      double difference = 0;
      for (size_t i = 0; i < got[layer].size(); ++i) {
        difference = std::max(difference, std::abs(double{got[layer][i]} - expected[layer][i]));
      }
      if (layer == 0) {
        EXPECT_GT(difference, 1e-3) << "the first selecting layer reads its picks alone";
      } else {
        EXPECT_LT(difference, 1e-5) << "layer " << layer;
      }
    }
    sparse.append(1);
    full.append(1);
  }
}

TEST_P(TidalRestTest, CountsARowForEachBlock) {
  TestSequence with(shape_, method(kPlan), kMaxLength, backend_->memory());
  TestSequence without(
      shape_,
      method("full:none select:0,3 budget:20 scope:all pool:softmax sinks:4 recent:8 own:on"),
      kMaxLength, backend_->memory());
  with.append(200);
  without.append(200);
  with.run(runner_);
  without.run(runner_);
  // Rows 4 to 191 lie in 12 blocks of 16; all layers but the first read them.
  const int64_t blocks = 12 * (shape_.n_layers - 1) * shape_.n_kv_heads;
  EXPECT_EQ(with.state().rows().k, without.state().rows().k + blocks);
  EXPECT_EQ(with.state().rows().v, without.state().rows().v + blocks);
}

TEST_P(TidalRestTest, FullAttendingLayersTakeNone) {
  TestSequence sequence(
      shape_,
      method(
          "full:0-1 select:2,4 budget:20 scope:all pool:softmax sinks:4 recent:8 own:off rest:16"),
      kMaxLength, backend_->memory());
  for (int32_t layer = 0; layer < 5; ++layer) {
    const LayerStep step = sequence.method().plan_layer(layer, 200, sequence.state());
    EXPECT_EQ(step.rest.has_value(), layer == 3) << layer;
  }
}

TEST_P(TidalRestTest, RollbackAndRedoGivesTheSame) {
  TestSequence straight(shape_, method(kPlan), kMaxLength, backend_->memory());
  TestSequence undone(shape_, method(kPlan), kMaxLength, backend_->memory());
  straight.append(150);
  undone.append(150);
  for (int step = 0; step < 30; ++step) {
    straight.append(1);
    undone.append(1, 2);  // other rows, then rolled back
    straight.run(runner_);
    undone.run(runner_);
  }
  undone.truncate(150);
  for (int step = 0; step < 30; ++step) {
    undone.append(1);
    undone.run(runner_);
  }
  EXPECT_EQ(undone.run(runner_), straight.run(runner_));
}

// Rolled-back rows at the end are at first recent ones, and in no mean.
TEST_P(TidalRestTest, RollbackWithinTheRecentRowsTakesThemOutOfTheMeans) {
  for (const int64_t length : {157, 158, 163}) {
    TestSequence undone(shape_, method(kPlan), kMaxLength, backend_->memory());
    undone.append(164);
    undone.run(runner_);
    undone.truncate(length - 1);
    undone.append(1);
    TestSequence straight(shape_, method(kPlan), kMaxLength, backend_->memory());
    straight.append(length);
    EXPECT_EQ(undone.run(runner_), straight.run(runner_)) << length;
  }
}

TEST_P(TidalRestTest, AClonedStateGoesItsOwnWay) {
  TestSequence sequence(shape_, method(kPlan), kMaxLength, backend_->memory());
  sequence.append(150);
  sequence.run(runner_);
  AttentionState kept = sequence.state().clone();
  sequence.append(20, 2);
  sequence.run(runner_);
  sequence.truncate(150);
  sequence.append(5);
  const auto expected = sequence.run(runner_);
  std::swap(sequence.state(), kept);
  EXPECT_EQ(sequence.run(runner_), expected);
}

INSTANTIATE_TEST_SUITE_P(Backends, TidalRestTest, testing::ValuesIn(backend_names()));

}  // namespace
}  // namespace tidal::test
