#include "bench/lockstep.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "ops/factory/backend_factory.h"
#include "testing/paths.h"
#include "testing/poison/poison_backend.h"  // the suite runs on it too

namespace tidal::test {
namespace {

constexpr int64_t kDepth = 60;

std::shared_ptr<const Model> tiny_model() { return Model::load(data_path("tiny-llama.gguf")); }

MethodOptions sparse(int32_t correct_every = 0) {
  MethodOptions options;
  options.plan = "full:0 select:1 budget:16 scope:all own:on";
  options.min_context = 0;
  options.correct_every = correct_every;
  return options;
}

std::vector<float> copy(std::span<const float> logits) { return {logits.begin(), logits.end()}; }

class LockstepTest : public testing::Test {
 protected:
  static bool go_on(int64_t, int64_t) { return true; }
  static LockstepLimits limits(int32_t n_sequences) {
    return {
        .n_sequences = n_sequences, .max_filled = kDepth, .max_decoded = 40, .max_contenders = 2};
  }

  std::unique_ptr<Backend> backend_ = make_backend("cpu", 2);
  std::shared_ptr<const Model> model_ = tiny_model();
};

// Three sequences at once give what each of them would alone.
TEST_F(LockstepTest, ABatchGivesTheLogitsOfItsFirstSequence) {
  Lockstep many(model_, *backend_, {}, limits(3));
  Lockstep one(model_, *backend_, {}, limits(1));
  ASSERT_TRUE(many.fill(kDepth, 7, go_on));
  ASSERT_TRUE(one.fill(kDepth, 7, go_on));
  Contender three = many.enter(3, sparse());
  Contender single = one.enter(1, sparse());
  const size_t vocab = static_cast<size_t>(model_->config().vocab_size);
  for (int32_t token = 5; token < 10; ++token) {
    const std::vector<float> batch = copy(many.decode(three, token));
    const std::vector<float> alone = copy(one.decode(single, token));
    ASSERT_EQ(batch.size(), 3 * vocab);
    EXPECT_EQ(std::vector<float>(batch.begin(), batch.begin() + static_cast<int64_t>(vocab)),
              alone);
    EXPECT_NE(std::vector<float>(batch.begin() + static_cast<int64_t>(vocab),
                                 batch.begin() + 2 * static_cast<int64_t>(vocab)),
              alone)
        << "the caches differ";
  }
  EXPECT_EQ(three.rows_read().k, 3 * single.rows_read().k);
  EXPECT_LT(three.rows().share(), 0.8);
  EXPECT_EQ(three.rows().share(), single.rows().share());
}

// What a contender decodes does not depend on who takes turns with it.
TEST_F(LockstepTest, ContendersDoNotDisturbOneAnother) {
  MethodOptions quest = sparse();
  quest.name = "quest";
  quest.plan = "full:0 budget:32 page:16";
  MethodOptions full;
  full.name = "full";
  Lockstep alone(model_, *backend_, {}, limits(1));
  Lockstep sequences(model_, *backend_, {}, limits(1));
  for (const MethodOptions& method : {sparse(), quest}) {
    alone.truncate(0);
    sequences.truncate(0);
    ASSERT_TRUE(alone.fill(kDepth, 7, go_on));
    ASSERT_TRUE(sequences.fill(kDepth, 7, go_on));
    Contender expected = alone.enter(1, method);
    Contender other = sequences.enter(1, full);
    Contender contender = sequences.enter(1, method);
    for (int32_t token = 5; token < 25; ++token) {
      sequences.decode(other, token);
      if (token % 2 == 0) sequences.step_back(other);
      ASSERT_EQ(copy(sequences.decode(contender, token)), copy(alone.decode(expected, token)));
    }
    EXPECT_EQ(contender.rows_read().k, expected.rows_read().k);
    EXPECT_EQ(other.rows().share(), 1.0);
    EXPECT_LT(contender.rows().share(), 0.9);
  }
}

// A verification's first logits are full attention's; each step moves on by one token.
TEST_F(LockstepTest, ALosslessContenderVerifiesDrafts) {
  MethodOptions full;
  full.name = "full";
  MethodOptions lossless = full;
  lossless.lossless = true;
  lossless.drafts = 3;
  LockstepLimits more = limits(1);
  more.max_drafts = 3;
  Lockstep sequences(model_, *backend_, {}, more);
  ASSERT_TRUE(sequences.fill(kDepth, 7, go_on));
  Contender expected = sequences.enter(1, full);
  Contender verifying = sequences.enter(1, lossless);
  const auto vocab = static_cast<size_t>(model_->config().vocab_size);
  for (int32_t token = 5; token < 15; ++token) {
    const std::vector<float> one = copy(sequences.decode(expected, token));
    const std::span<const float> four = sequences.decode(verifying, token);
    ASSERT_EQ(four.size(), 4 * vocab);
    ASSERT_EQ(copy(four.first(vocab)), one);
  }
  EXPECT_EQ(verifying.rows().total, expected.rows().total);
}

TEST_F(LockstepTest, FillReachesTheDepthAndStopsWhenTold) {
  Lockstep sequences(model_, *backend_, {}, {.n_sequences = 2, .max_filled = 2000});
  int64_t last = 0;
  const auto progress = [&](int64_t done, int64_t total) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, 2 * 1500);
    last = done;
    return true;
  };
  ASSERT_TRUE(sequences.fill(1500, 1, progress));
  EXPECT_EQ(last, 3000);
  EXPECT_EQ(sequences.length(), 1500);
  const auto first_byte = [&](const std::byte* row) {
    std::byte byte{};
    backend_->memory().copy_out(&byte, row, 1);
    return byte;
  };
  EXPECT_NE(first_byte(sequences.cache(0, 0).k_row(1499)), std::byte{0});
  EXPECT_NE(first_byte(sequences.cache(1, 3).v_row(1499)), std::byte{0});
  EXPECT_FALSE(sequences.fill(1999, 1, [](int64_t, int64_t) { return false; }));
  sequences.truncate(10);
  EXPECT_EQ(sequences.length(), 10);
}

}  // namespace
}  // namespace tidal::test
