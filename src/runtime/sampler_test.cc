#include "runtime/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

#include "testing/allocations/allocation_counter.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

std::map<int32_t, int> draw(const SamplingOptions& options, const std::vector<float>& logits,
                            int n) {
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

TEST(Sampler, ThoseThatShareScratchGiveTheirOwnTokens) {
  SamplingOptions options = plain();
  options.seed = 42;
  const auto scratch = std::make_shared<SamplerScratch>(100);
  const SamplerContext shared{.scratch = scratch};
  Sampler alone(options, 100), a(options, 100, shared);
  options.logit_bias = {{3, 2.0f}};
  Sampler biased_alone(options, 100), b(options, 100, shared);
  std::vector<float> logits(100);
  for (int i = 0; i < 100; ++i) {
    for (size_t k = 0; k < logits.size(); ++k) logits[k] = std::sin(static_cast<float>(k * i));
    EXPECT_EQ(alone.sample(logits), a.sample(logits));
    EXPECT_EQ(biased_alone.sample(logits), b.sample(logits));
  }
  EXPECT_EQ(a.candidates().data(), b.candidates().data()) << "they have scratch of their own";
}

TEST(Sampler, RefusesBadOptions) {
  for (const auto& change : std::vector<void (*)(SamplingOptions&)>{
           [](SamplingOptions& o) { o.temperature = -1; },
           [](SamplingOptions& o) { o.top_k = -1; },
           [](SamplingOptions& o) { o.temperature = std::nanf(""); },
           [](SamplingOptions& o) { o.top_p = 1.5f; },
           [](SamplingOptions& o) { o.min_p = 2; },
           [](SamplingOptions& o) { o.repeat_penalty = 0; },
           [](SamplingOptions& o) { o.repeat_last_n = -2; },
           [](SamplingOptions& o) { o.presence_penalty = std::nanf(""); },
           [](SamplingOptions& o) { o.frequency_penalty = std::nanf(""); },
           [](SamplingOptions& o) { o.dry_multiplier = -1; },
           [](SamplingOptions& o) { o.dry_base = 0.9f; },
           [](SamplingOptions& o) { o.dry_allowed_length = -1; },
           [](SamplingOptions& o) { o.dry_penalty_last_n = -2; },
           [](SamplingOptions& o) { o.dry_sequence_breakers = {""}; },
           [](SamplingOptions& o) { o.dry_sequence_breakers = {std::string(41, 'a')}; },
           [](SamplingOptions& o) { o.typical_p = 0; },
           [](SamplingOptions& o) { o.top_n_sigma = std::nanf(""); },
           [](SamplingOptions& o) { o.xtc_probability = 1.1f; },
           [](SamplingOptions& o) { o.xtc_threshold = -0.1f; },
           [](SamplingOptions& o) {
             o.logit_bias = {{10, 1.0f}};
           },
           [](SamplingOptions& o) {
             o.logit_bias = {{-1, 1.0f}};
           },
           [](SamplingOptions& o) {
             o.logit_bias = {{1, std::nanf("")}};
           }}) {
    SamplingOptions options;
    change(options);
    EXPECT_THROW(Sampler(options, 10), Error);
  }
}

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Greedy decoding, too, sees what changes logits.
TEST(Sampler, TemperatureZeroTakesTheBestOfWhatIsLeft) {
  SamplingOptions options;
  options.temperature = 0;
  options.logit_bias = {{1, kNever}, {2, 4.5f}};
  EXPECT_EQ(draw(options, {1, 5, 2, 6}, 1).begin()->first, 2);
  options.logit_bias.clear();
  options.repeat_penalty = 2;
  Sampler sampler(options, 4);
  const std::vector<float> logits = {1, 5, 2, 6};
  std::vector<int32_t> drawn;
  for (int i = 0; i < 4; ++i) {
    drawn.push_back(sampler.sample(logits));
    sampler.accept(drawn.back());
  }
  EXPECT_EQ(drawn, (std::vector<int32_t>{3, 1, 3, 3}));
  EXPECT_EQ(sampler.candidates().size(), 1u);
}

TEST(Sampler, SaysWithWhichProbabilitiesItDrew) {
  SamplingOptions options = plain();
  options.top_k = 3;
  options.temperature = 0.5f;  // squares: 25, 9 and 4 of 38
  const std::vector<float> logits = {std::log(0.2f), std::log(0.5f), std::log(0.1f),
                                     std::log(0.3f)};
  Sampler sampler(options, 4);
  const int32_t token = sampler.sample(logits);
  const TokenLogprobs drawn = sampler.log_probabilities(token, 5);
  ASSERT_EQ(drawn.top.size(), 3u);
  const std::map<int32_t, double> expected = {{1, 25.0 / 38}, {3, 9.0 / 38}, {0, 4.0 / 38}};
  for (const TokenLogprob& one : drawn.top) {
    EXPECT_NEAR(std::exp(one.logprob), expected.at(one.token), 1e-6);
  }
  EXPECT_EQ(drawn.top[0].token, 1);
  EXPECT_EQ(drawn.drawn.token, token);
  EXPECT_NEAR(std::exp(drawn.drawn.logprob), expected.at(token), 1e-6);
  EXPECT_EQ(sampler.log_probabilities(0, 1).top.size(), 1u);
  EXPECT_NEAR(std::exp(sampler.log_probabilities(0, 1).drawn.logprob), 4.0 / 38, 1e-6);
}

TEST(Sampler, AtTemperatureZeroOneTokenIsCertain) {
  SamplingOptions options = plain();
  options.temperature = 0;
  for (const float typical_p : {1.0f, 0.9f}) {
    options.typical_p = typical_p;
    Sampler sampler(options, 3);
    const int32_t token = sampler.sample(std::vector<float>{1, 2, 1.5f});
    const TokenLogprobs drawn = sampler.log_probabilities(token, 5);
    EXPECT_EQ(drawn.drawn.logprob, 0);
    ASSERT_EQ(drawn.top.size(), 1u);
    EXPECT_EQ(drawn.top[0].token, token);
  }
}

// As in llama.cpp these may drop the most likely token, and temperature 0 comes behind them.
TEST(Sampler, TemperatureZeroComesBehindXtcAndTypical) {
  SamplingOptions options;
  options.temperature = 0;
  options.xtc_probability = 1;
  options.xtc_threshold = 0.2f;
  const std::vector<float> logits = {std::log(0.4f), std::log(0.35f), std::log(0.25f)};
  EXPECT_EQ(draw(options, logits, 20), (std::map<int32_t, int>{{2, 20}}));
  options.xtc_probability = 0;
  options.typical_p = 0.2f;
  EXPECT_EQ(draw(options, logits, 20), (std::map<int32_t, int>{{1, 20}}));
}

TEST(Sampler, XtcComesAsOftenAsItIsTold) {
  SamplingOptions options = plain();
  options.xtc_probability = 0.25f;
  options.xtc_threshold = 0.4f;
  const auto counts = draw(options, {0, 0}, 40000);  // with XTC always token 1
  EXPECT_NEAR(counts.at(0), 40000 * 0.375, 500);
}

TEST(Sampler, TakesNoTokenButOfTheMask) {
  std::vector<float> logits(70, 0.0f);
  logits[3] = 9;
  logits[66] = 5;
  const std::vector<uint32_t> mask = {0x10u, 0, 0x2u};  // 4 and 65
  const std::vector<uint32_t> nothing(3, 0);
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingOptions options = plain();
    options.temperature = temperature;
    Sampler sampler(options, 70, {.masked = true});
    std::map<int32_t, int> counts;
    for (int i = 0; i < 100; ++i) ++counts[sampler.sample(logits, mask)];
    EXPECT_EQ(counts.size(), temperature == 0 ? 1u : 2u);
    EXPECT_EQ(counts.count(4) + counts.count(65), counts.size());
    EXPECT_EQ(sampler.sample(logits, nothing), -1);
    if (temperature == 0) {
      EXPECT_EQ(sampler.sample(logits), 3) << "without a mask";
    }
  }
}

TEST(Sampler, WhatMayNeverComeDoesNot) {
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingOptions options = plain();
    options.temperature = temperature;
    Sampler sampler(options, 3, {.masked = true});
    const std::vector<float> logits = {1, 9, 1};
    const std::vector<uint32_t> mask = {3};
    for (int i = 0; i < 50; ++i) {
      EXPECT_NE(sampler.sample(logits, {}, std::vector<int32_t>{1}), 1);
      EXPECT_EQ(sampler.sample(logits, mask, std::vector<int32_t>{1}), 0);
    }
    EXPECT_EQ(sampler.sample(logits, mask, std::vector<int32_t>{0, 1}), -1);
  }
}

TEST(Sampler, SaysWhenNoTokenIsLeft) {
  for (const float temperature : {0.0f, 1.0f}) {
    SamplingOptions options = plain();
    options.temperature = temperature;
    options.logit_bias = {{0, kNever}, {1, kNever}};
    EXPECT_EQ(draw(options, {1, 2}, 1).begin()->first, -1);
  }
}

TEST(Sampler, ACopyGoesOnFromWhereTheOriginalIs) {
  SamplingOptions options = plain();
  options.frequency_penalty = 0.5f;
  options.dry_multiplier = 1;
  const std::vector<float> logits(20, 0.0f);
  Sampler a(options, 20, {.max_length = 100});
  const auto step = [&](Sampler& sampler) {
    const int32_t token = sampler.sample(logits);
    sampler.accept(token);
    return token;
  };
  for (int i = 0; i < 30; ++i) step(a);
  Sampler b = a;
  for (int i = 0; i < 60; ++i) EXPECT_EQ(step(a), step(b)) << i;
}

// With every stage on, and none but the first call may fill what grows.
TEST(Sampler, AllocatesAtConstructionOnly) {
  SamplingOptions options;
  options.repeat_penalty = 1.1f;
  options.repeat_last_n = -1;
  options.dry_multiplier = 0.8f;
  options.dry_allowed_length = 0;
  options.top_n_sigma = 2;
  options.typical_p = 0.9f;
  options.xtc_probability = 0.5f;
  options.logit_bias = {{3, 1.0f}};
  Sampler sampler(options, 300, {.max_length = 500, .masked = true});
  std::mt19937 random(3);
  std::vector<float> logits(300);
  const std::vector<uint32_t> mask(10, 0x7fffffffu);
  for (float& logit : logits) logit = static_cast<float>(random() % 50) * 0.1f;
  const int64_t before = allocation_count();
  for (int i = 0; i < 500; ++i) sampler.accept(sampler.sample(logits, mask));
  EXPECT_EQ(allocation_count(), before);
}

}  // namespace
}  // namespace tidal::test
