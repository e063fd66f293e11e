#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>
#include <random>

#include "tidal/error.h"

namespace tidal::test {
namespace {

std::map<int32_t, int> draw(SamplingOptions options, const std::vector<float>& logits, int n) {
  Sampler sampler(options, static_cast<int32_t>(logits.size()));
  std::map<int32_t, int> counts;
  for (int i = 0; i < n; ++i) ++counts[sampler.sample(logits)];
  return counts;
}

SamplingOptions plain() { return {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0}; }

TEST(Sampler, TemperatureZeroTakesTheFirstOfTheBest) {
  SamplingOptions options;
  options.temperature = 0;
  EXPECT_EQ(draw(options, {1, 5, 2, 5}, 10), (std::map<int32_t, int>{{1, 10}}));
}

TEST(Sampler, DrawsInProportion) {
  constexpr int kDraws = 40000;
  const std::vector<float> logits = {0, std::log(2.0f), std::log(5.0f)};
  const auto counts = draw(plain(), logits, kDraws);
  EXPECT_NEAR(counts.at(0), kDraws * 0.125, 500);
  EXPECT_NEAR(counts.at(1), kDraws * 0.25, 500);
  EXPECT_NEAR(counts.at(2), kDraws * 0.625, 500);
}

TEST(Sampler, TemperatureSharpens) {
  SamplingOptions options = plain();
  options.temperature = 0.5f;  // probabilities 1 : 4
  const auto counts = draw(options, {0, std::log(2.0f)}, 40000);
  EXPECT_NEAR(counts.at(1), 32000, 500);
}

TEST(Sampler, TopKKeepsTheBest) {
  SamplingOptions options = plain();
  options.top_k = 2;
  EXPECT_EQ(draw(options, {1, 1, 1, 1.5f}, 500).size(), 2u);
  EXPECT_EQ(draw(options, {1, 1, 1, 1.5f}, 500).begin()->first, 0) << "ties go to the smaller id";
}

// Against a full sort, over logits with many ties.
TEST(Sampler, TopKOfManyIsThatOfASort) {
  std::mt19937 random(5);
  for (const int32_t k : {1, 2, 40, 99, 100, 101, 199, 200, 400}) {
    std::vector<float> logits(200);
    for (float& logit : logits) logit = static_cast<float>(random() % 50) * 0.01f;
    std::vector<int32_t> ids(logits.size());
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int32_t a, int32_t b) {
      return logits[static_cast<size_t>(a)] > logits[static_cast<size_t>(b)];
    });
    ids.resize(std::min<size_t>(ids.size(), static_cast<size_t>(k)));
    SamplingOptions options = plain();
    options.top_k = k;
    std::vector<int32_t> drawn;
    for (const auto& [id, count] : draw(options, logits, 30 * k)) drawn.push_back(id);
    std::sort(ids.begin(), ids.end());
    EXPECT_EQ(drawn, ids) << k;
  }
}

TEST(Sampler, TopPKeepsTheFewestThatReachIt) {
  SamplingOptions options = plain();
  options.top_p = 0.7f;  // 0.5, 0.3, 0.2
  const auto counts = draw(options, {std::log(0.2f), std::log(0.5f), std::log(0.3f)}, 500);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.count(0), 0u);
}

TEST(Sampler, MinPDropsWhatIsFarBelowTheBest) {
  SamplingOptions options = plain();
  options.min_p = 0.5f;
  const auto counts = draw(options, {std::log(0.2f), std::log(0.5f), std::log(0.3f)}, 500);
  EXPECT_EQ(counts.size(), 2u);
  EXPECT_EQ(counts.count(0), 0u);
}

TEST(Sampler, EqualSeedsGiveEqualTokens) {
  const std::vector<float> logits(100, 0.0f);
  SamplingOptions options = plain();
  options.seed = 42;
  Sampler a(options, 100);
  Sampler b(options, 100);
  options.seed = 43;
  Sampler c(options, 100);
  int different = 0;
  for (int i = 0; i < 100; ++i) {
    const int32_t token = a.sample(logits);
    EXPECT_EQ(token, b.sample(logits));
    different += token != c.sample(logits);
  }
  EXPECT_GT(different, 50);
}

TEST(Sampler, RefusesBadOptions) {
  for (const auto& change : std::vector<void (*)(SamplingOptions&)>{
           [](SamplingOptions& o) { o.temperature = -1; }, [](SamplingOptions& o) { o.top_k = -1; },
           [](SamplingOptions& o) { o.temperature = std::nanf(""); },
           [](SamplingOptions& o) { o.top_p = 1.5f; }, [](SamplingOptions& o) { o.min_p = 2; }}) {
    SamplingOptions options;
    change(options);
    EXPECT_THROW(Sampler(options, 10), Error);
  }
}

}  // namespace
}  // namespace tidal::test
