#include <gtest/gtest.h>

#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_test_util.h"
#include "engine/grammar.h"
#include "engine/speculation.h"
#include "tidal/engine.h"

namespace tidal::test {
namespace {

// The methods of mixed_requests(), and a sampler with all that remembers.
std::vector<Request> lossless_requests(const Engine& engine) {
  std::vector<Request> requests = mixed_requests(engine);
  for (size_t i = 0; i < requests.size(); ++i) {
    Request& request = requests[i];
    request.max_tokens = 120;
    request.attention.lossless = true;
    request.attention.drafts = static_cast<int32_t>(i % 5) - 1;  // -1: by measured times
    request.sampling.temperature = i % 3 == 0 ? 0 : 0.9F;
    if (i % 2 == 0) {
      request.sampling.repeat_penalty = 1.1F;
      request.sampling.dry_multiplier = 0.5F;
      request.sampling.xtc_probability = 0.3F;
    }
  }
  return requests;
}

Completion by_full_attention(Engine& engine, Request request) {
  request.attention = {};
  request.attention.name = "full";
  request.cache_prompt = false;
  return engine.run(std::move(request));
}

void expect_equal(const Completion& got, const Completion& expected) {
  EXPECT_EQ(got.tokens, expected.tokens);
  EXPECT_EQ(got.text, expected.text);
  EXPECT_EQ(got.finish_reason, expected.finish_reason);
  EXPECT_EQ(got.stop_token, expected.stop_token);
  ASSERT_EQ(got.logprobs.size(), expected.logprobs.size());
  for (size_t i = 0; i < got.logprobs.size(); ++i) {
    EXPECT_EQ(got.logprobs[i].drawn.logprob, expected.logprobs[i].drawn.logprob) << i;
  }
}

TEST(Lossless, TokensAreThoseOfFullAttention) {
  Engine engine(options(1));
  Engine full(options(1));
  for (Request& request : lossless_requests(engine)) {
    SCOPED_TRACE(request.attention.name + " " + request.attention.plan);
    request.logprobs = 2;
    const Completion expected = by_full_attention(full, request);
    const Completion got = engine.run(std::move(request));
    expect_equal(got, expected);
    EXPECT_TRUE(got.speculation.on);
    EXPECT_LE(got.speculation.accepted, got.speculation.drafted);
    EXPECT_EQ(got.rows.total, expected.rows.total);
    EXPECT_GT(got.rows.read, 0);
    EXPECT_EQ(got.corrections, 0);
  }
}

// A draft that read everything would be as right, and gain nothing.
TEST(Lossless, DraftsReadWhatTheMethodReads) {
  Engine engine(options(1));
  Request request = make_request(engine, long_text(300), "tidal", kOwn);
  request.max_tokens = 60;
  request.attention.lossless = true;
  request.attention.drafts = 4;
  const Completion got = engine.run(request);
  const int64_t steps = std::ssize(got.tokens) - 1;
  const int64_t drafted = got.speculation.drafted;
  ASSERT_GT(drafted, steps);
  // Layers, KV heads, K and V, of a whole cache at the end.
  const double step = 4.0 * 2 * 2 * static_cast<double>(got.prompt_tokens + 60);
  const auto passes = static_cast<double>(steps - got.speculation.accepted + 1);
  EXPECT_LT(static_cast<double>(got.rows.read),
            step * (passes + 0.6 * static_cast<double>(drafted)));
}

// In a batch every request is in another phase, and too few pages pause some of them.
TEST(Lossless, NothingBesideARequestChangesItsTokens) {
  EngineOptions crowded = options(8);
  crowded.context_size = 640;
  Engine engine(crowded);
  Engine full(options(1));
  std::vector<Request> requests = lossless_requests(engine);
  for (Request& request : mixed_requests(engine)) requests.push_back(std::move(request));
  const std::vector<Completion> together = run_together(engine, requests);
  ASSERT_EQ(together.size(), requests.size());
  EXPECT_GT(engine.stats().paused, 0);
  int64_t drafted = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    if (!requests[i].attention.lossless) continue;
    SCOPED_TRACE(i);
    expect_equal(together[i], by_full_attention(full, requests[i]));
    drafted += together[i].speculation.drafted;
  }
  EXPECT_GT(drafted, 0);
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.cached_tokens, stats.kept_tokens) << "every page is free or kept";
}

TEST(Lossless, EndsWhereFullAttentionEnds) {
  Engine engine(options(1));
  Engine full(options(1));
  for (const int64_t max_tokens : {1, 2, 3, 7, 31}) {
    for (unsigned seed = 0; seed < 4; ++seed) {
      SCOPED_TRACE(std::to_string(max_tokens) + " " + std::to_string(seed));
      Request request = make_request(engine, long_text(150, seed), "tidal", kOwn);
      request.max_tokens = max_tokens;
      request.attention.lossless = true;
      request.attention.drafts = 4;
      request.sampling.seed = seed;
      const Completion whole = by_full_attention(full, request);
      expect_equal(engine.run(request), whole);
      // Before a string, and before a token, that come in the middle of it.
      const int32_t middle = whole.tokens[whole.tokens.size() / 2];
      request.stop_tokens = {middle};
      expect_equal(engine.run(request), by_full_attention(full, request));
      request.stop_tokens.clear();
      request.stop = {engine.piece(middle)};
      request.min_tokens = max_tokens / 3;
      expect_equal(engine.run(request), by_full_attention(full, request));
    }
  }
}

TEST(Lossless, HoldsToAGrammar) {
  if (!GrammarCompiler::is_built_in()) GTEST_SKIP() << "no xgrammar";
  Engine engine(options(1));
  Engine full(options(1));
  for (unsigned seed = 0; seed < 6; ++seed) {
    SCOPED_TRACE(seed);
    Request request = make_request(engine, long_text(150, seed), "tidal", kOwn);
    request.max_tokens = 100;
    request.ignore_eos = false;
    request.attention.lossless = true;
    request.attention.drafts = 3;
    request.sampling.seed = seed;
    request.grammar = {GrammarKind::kRegex, "[a-m]{3,20}( [n-z]{2,9}){0,6}"};
    const Completion got = engine.run(request);
    expect_equal(got, by_full_attention(full, request));
    EXPECT_GT(got.speculation.drafted, 0);
  }
}

TEST(Lossless, ReusesAndLeavesRowsOfThePromptAlone) {
  Engine engine(options(1));
  Engine full(options(1));
  Request request = make_request(engine, long_text(200), "tidal", kOwn);
  request.max_tokens = 60;
  request.attention.lossless = true;
  const Completion expected = by_full_attention(full, request);
  expect_equal(engine.run(request), expected);
  const Completion again = engine.run(request);
  EXPECT_GT(again.reused_tokens, 0);
  expect_equal(again, expected);
  // Behind the answer: rows of its tokens are of another kind and are not reused.
  request.prompt.insert(request.prompt.end(), expected.tokens.begin(), expected.tokens.end());
  const Completion longer = engine.run(request);
  EXPECT_LE(longer.reused_tokens, 200);
  expect_equal(longer, by_full_attention(full, request));
}

// Text that repeats itself is drafted from itself, also where the method reads everything.
TEST(Lossless, RepetitionsNeedNoMethod) {
  Engine engine(options(1));
  Engine full(options(1));
  Request request = make_request(engine, "ab ab ab ab ab ab ab ab ab ab", "full");
  request.max_tokens = 200;
  request.attention.lossless = true;
  request.attention.drafts = 7;
  request.sampling.temperature = 0;
  request.sampling.logit_bias = {{'a', 50}, {'b', 50}};
  const Completion got = engine.run(request);
  expect_equal(got, by_full_attention(full, request));
  EXPECT_GT(got.speculation.accepted, 0);
}

TEST(Lossless, WhatFollowedTheLongestRepetition) {
  const auto followed = [](const std::vector<int32_t>& tokens, int64_t n) {
    const std::span<const int32_t> found = what_followed(tokens, 3, n);
    return std::vector<int32_t>(found.begin(), found.end());
  };
  using Tokens = std::vector<int32_t>;
  EXPECT_EQ(followed({1, 2, 3, 4, 5, 1, 2, 3}, 2), (Tokens{4, 5}));
  EXPECT_EQ(followed({1, 2, 3, 4, 5, 1, 2, 3}, 9), (Tokens{4, 5, 1, 2, 3})) << "all there is";
  EXPECT_EQ(followed({9, 1, 2, 3, 4, 1, 2, 3, 5, 9, 1, 2, 3}, 1), Tokens{4}) << "the longer one";
  EXPECT_EQ(followed({1, 2, 3, 4, 1, 2, 3, 5, 1, 2, 3}, 1), Tokens{5}) << "the later one";
  EXPECT_EQ(followed({7, 7, 7, 7, 7}, 4), Tokens{7}) << "what overlaps counts";
  EXPECT_TRUE(followed({1, 2, 4, 3, 1, 2}, 4).empty()) << "too short";
  EXPECT_TRUE(followed({1, 2, 3}, 4).empty());
  EXPECT_TRUE(followed({}, 4).empty());
}

TEST(Lossless, ManyRandomRequests) {
  std::mt19937 random(3);
  const auto below = [&](size_t n) { return static_cast<size_t>(random()) % n; };
  Engine engine(options(3));
  Engine full(options(1));
  std::vector<Request> requests;
  for (int i = 0; i < 30; ++i) {
    std::vector<Request> all = lossless_requests(engine);
    Request request = std::move(all[below(all.size())]);
    request.prompt = engine.encode(long_text(20 + below(150), static_cast<unsigned>(below(5))));
    request.max_tokens = 10 + static_cast<int64_t>(below(100));
    request.sampling.seed = below(100);
    requests.push_back(std::move(request));
  }
  const std::vector<Completion> together = run_together(engine, requests);
  ASSERT_EQ(together.size(), requests.size());
  for (size_t i = 0; i < requests.size(); ++i) {
    SCOPED_TRACE(i);
    expect_equal(together[i], by_full_attention(full, requests[i]));
  }
}

}  // namespace
}  // namespace tidal::test
