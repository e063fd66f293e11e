// Prompts that begin alike: what is reused, when, and that no token changes.

#include <gtest/gtest.h>

#include <iterator>
#include <map>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_test_util.h"

namespace tidal::test {
namespace {

TEST(Engine, APromptThatBeginsAlikeReusesRows) {
  Engine engine(options(1));
  const Completion one = engine.run(make_request(engine, long_text(200), "tidal", kOwn));
  EXPECT_EQ(one.reused_tokens, 0);

  const auto second = [&](bool cache_prompt, const std::string& salt) {
    Request request = make_request(engine, long_text(200), "tidal", kOwn);
    request.prompt.insert(request.prompt.end(), one.tokens.begin(), one.tokens.end());
    request.cache_prompt = cache_prompt;
    request.cache_salt = salt;
    request.max_tokens = 4;
    request.sampling.temperature = 0;
    return engine.run(std::move(request));
  };
  const Completion fresh = second(false, "");
  EXPECT_EQ(fresh.reused_tokens, 0);
  const Completion reused = second(true, "");
  EXPECT_EQ(reused.reused_tokens, 192) << "whole pages, and none that sparse steps wrote";
  EXPECT_EQ(reused.tokens, fresh.tokens);
  const Completion other = second(true, "another user");
  EXPECT_EQ(other.reused_tokens, 0);
  EXPECT_EQ(second(true, "another user").reused_tokens, (other.prompt_tokens - 1) / 16 * 16);
}

// While one reads on, the next one begins on what is there: a prompt is kept when it is read.
TEST(Engine, APromptIsKeptAsSoonAsItIsRead) {
  Engine engine(options(2));
  std::vector<Completion> done;
  Request first = make_request(engine, long_text(100), "full");
  bool submitted = false;
  first.on_token = [&](const TokenEvent&) {
    if (std::exchange(submitted, true)) return;
    Request next = make_request(engine, long_text(100) + "x", "full");
    next.on_finish = [&](const Completion& completion) { done.push_back(completion); };
    engine.submit(std::move(next));
  };
  engine.run(std::move(first));
  while (engine.step()) {
  }
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].reused_tokens, 96);
}

// Requests at random: tokens with reuse are those without, whatever runs beside them, is cancelled
// or makes way. Texts begin alike in many places and are longer than the cache all together.
TEST(Engine, ReuseNeverChangesTokens) {
  std::mt19937 random(11);
  const auto below = [&](size_t n) { return static_cast<size_t>(random()) % n; };
  EngineOptions small = options(3);
  small.context_size = 448;
  Engine engine(small);
  EngineOptions alone_options = options(1);
  Engine alone(alone_options);
  int64_t reused = 0;
  const std::pair<const char*, const char*> methods[] = {
      {"full", ""},
      {"tidal", kOwn},
      {"tidal", "full:none select:0 budget:16 scope:all pool:softmax own:on rest:16"},
      {"tidal", "full:none select:0 budget:16 scope:all pool:softmax own:on rest:48"},
      {"tidal", "full:0 select:1 budget:24 scope:q correct:3"},
      {"quest", "full:0 budget:32 page:16"}};
  std::map<RequestId, Request> asked;
  std::map<RequestId, Completion> done;
  for (int round = 0; round < 60; ++round) {
    for (size_t i = 0; i < 1 + below(4); ++i) {
      const std::string text = long_text(20 + below(120), static_cast<unsigned>(below(2))) +
                               long_text(below(100), static_cast<unsigned>(below(3)));
      const auto& [method, plan] = methods[below(std::size(methods))];
      Request request = make_request(engine, text, method, plan);
      request.max_tokens = 20 + static_cast<int64_t>(below(40));
      request.sampling.temperature = 2.0f;
      if (!done.empty() && below(2) == 0) {  // goes on with an answer
        const auto& [before, completion] = *std::next(done.begin(), std::ssize(done) - 1);
        request.prompt = asked.at(before).prompt;
        request.prompt.insert(request.prompt.end(), completion.tokens.begin(),
                              completion.tokens.end());
        request.prompt.push_back(5);
        if (request.prompt.size() > 380) request.prompt.resize(380);
      }
      Request copy = request;
      request.on_finish = [&](const Completion& completion) { done[completion.id] = completion; };
      const RequestId id = engine.submit(std::move(request));
      asked.emplace(id, std::move(copy));
    }
    for (size_t steps = below(80); steps > 0; --steps) engine.step();
    if (below(3) == 0) engine.cancel(asked.rbegin()->first);
  }
  while (engine.step()) {
  }
  ASSERT_EQ(done.size(), asked.size());
  for (auto& [id, request] : asked) {
    const Completion& completion = done.at(id);
    reused += completion.reused_tokens;
    request.cache_prompt = false;
    Completion expected = alone.run(std::move(request));
    if (completion.finish_reason == FinishReason::kCancelled) {
      ASSERT_LE(completion.tokens.size(), expected.tokens.size());
      expected.tokens.resize(completion.tokens.size());
    }
    ASSERT_EQ(completion.tokens, expected.tokens)
        << "request " << id << " after " << completion.reused_tokens << " reused tokens";
  }
  EXPECT_GT(reused, 1000);
}

TEST(Engine, KeptRowsMakeWay) {
  EngineOptions small = options(1);
  small.context_size = 256;
  Engine engine(small);
  engine.run(make_request(engine, long_text(200), "full"));
  const Completion other = engine.run(make_request(engine, long_text(220, 3), "full"));
  EXPECT_EQ(other.tokens.size(), 24u);
}

TEST(Engine, WhatWasReadOfACancelledPromptIsKept) {
  Engine engine(options(1));
  Request request = make_request(engine, long_text(200), "full");
  RequestId id = 0;
  request.on_prefill = [&](int64_t done, int64_t) {
    if (done == 128) engine.cancel(id);
  };
  id = engine.submit(std::move(request));
  while (engine.step()) {
  }
  Request again = make_request(engine, long_text(200), "full");
  Request fresh = again;
  fresh.cache_prompt = false;
  const Completion reused = engine.run(std::move(again));
  EXPECT_EQ(reused.reused_tokens, 128);
  EXPECT_EQ(reused.tokens, engine.run(std::move(fresh)).tokens);
}

}  // namespace
}  // namespace tidal::test
