#include "runtime/logprobs.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "runtime/sampler.h"

namespace tidal::test {
namespace {

TEST(Logprobs, AreLogarithmsOfTheSoftmax) {
  EXPECT_NEAR(log_probability(std::vector<float>{0, std::log(3.0F), 1000}, 2), 0, 1e-12);
  EXPECT_NEAR(log_probability(std::vector<float>{0, std::log(3.0F), 1000}, 1), std::log(3.0) - 1000,
              1e-4);
  const std::vector<float> logits = {std::log(0.5F) + 80, std::log(0.2F) + 80, std::log(0.3F) + 80};
  const TokenLogprobs result = log_probabilities(logits, 1, 5);
  EXPECT_EQ(result.drawn.token, 1);
  EXPECT_NEAR(result.drawn.logprob, std::log(0.2), 1e-5);
  ASSERT_EQ(result.top.size(), 3u);
  EXPECT_EQ(result.top[0].token, 0);
  EXPECT_EQ(result.top[1].token, 2);
  EXPECT_NEAR(result.top[1].logprob, std::log(0.3), 1e-5);
  EXPECT_EQ(static_cast<float>(log_probability(logits, 2)), result.top[1].logprob);
}

// Probabilities in long doubles, ranks by a full sort, with ties and tokens that can't come.
TEST(Logprobs, AreThoseOfASlowSumAndSort) {
  std::mt19937 random(7);
  std::vector<float> logits(5000);
  for (float& logit : logits) logit = static_cast<float>(random() % 300) * 0.07F - 12;
  logits[17] = -std::numeric_limits<float>::infinity();
  long double sum = 0;
  for (const float logit : logits) sum += std::exp(static_cast<long double>(logit));
  std::vector<int32_t> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
    return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
  });
  const TokenLogprobs result = log_probabilities(logits, 17, 100);
  EXPECT_EQ(result.drawn.logprob, -std::numeric_limits<float>::infinity());
  ASSERT_EQ(result.top.size(), 100u);
  for (size_t i = 0; i < result.top.size(); ++i) {
    const int32_t id = ids[i];
    EXPECT_EQ(result.top[i].token, id);
    const auto expected = static_cast<long double>(logits[static_cast<size_t>(id)]) - std::log(sum);
    EXPECT_EQ(result.top[i].logprob, static_cast<float>(expected)) << id;
  }
}

// What clients that score by log-probabilities compare.
TEST(Logprobs, TheGreedyTokenIsTheFirstOfTheTop) {
  SamplingOptions options;
  options.temperature = 0;
  Sampler sampler(options, 50);
  std::mt19937 random(3);
  for (int i = 0; i < 50; ++i) {
    std::vector<float> logits(50);
    for (float& logit : logits) logit = static_cast<float>(random() % 8);
    const TokenLogprobs result = log_probabilities(logits, sampler.sample(logits), 1);
    ASSERT_EQ(result.top.size(), 1u);
    EXPECT_EQ(result.drawn.token, result.top[0].token);
    EXPECT_EQ(result.drawn.logprob, result.top[0].logprob);
  }
  EXPECT_TRUE(log_probabilities(std::vector<float>{1, 2}, 0, 0).top.empty());
}

}  // namespace
}  // namespace tidal::test
