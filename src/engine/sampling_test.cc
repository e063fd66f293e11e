// What a request's sampling does to its tokens, and the log-probabilities it asks for.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <set>

#include "engine/engine_model.h"
#include "engine/engine_test_util.h"
#include "runtime/logprobs.h"
#include "testing/error.h"

namespace tidal::test {
namespace {

using testing::HasSubstr;

constexpr float kNever = -std::numeric_limits<float>::infinity();

Request greedy(const Engine& engine, const std::string& text = "Once upon a time") {
  Request request = make_request(engine, text, "full");
  request.sampling.temperature = 0;
  return request;
}

TEST(Sampling, BiasRulesATokenOut) {
  Engine engine(options());
  const std::vector<int32_t> plain = engine.run(greedy(engine)).tokens;
  Request request = greedy(engine);
  request.sampling.logit_bias = {{plain[0], kNever}};
  for (const int32_t token : engine.run(std::move(request)).tokens) EXPECT_NE(token, plain[0]);
}

TEST(Sampling, BiasAgainstAllTokensIsAnError) {
  Engine engine(options());
  Request request = greedy(engine);
  for (int32_t token = 0; token < 259; ++token) {
    request.sampling.logit_bias.emplace_back(token, kNever);
  }
  const Completion completion = engine.run(std::move(request));
  EXPECT_EQ(completion.finish_reason, FinishReason::kError);
  EXPECT_THAT(completion.error, HasSubstr("`logit_bias`"));
}

// A token of the prompt or of the answer is never taken again; so long as there are others.
TEST(Sampling, PenaltiesSeePromptAndAnswer) {
  Engine engine(options());
  Request request = greedy(engine, long_text(80));
  const std::vector<int32_t> prompt = request.prompt;
  request.sampling.presence_penalty = 1000;
  request.sampling.repeat_last_n = -1;
  std::set<int32_t> seen(prompt.begin(), prompt.end());
  for (const int32_t token : engine.run(std::move(request)).tokens) {
    EXPECT_TRUE(seen.insert(token).second) << token;
  }
  request = greedy(engine, long_text(80));
  request.sampling.presence_penalty = 1000;
  request.sampling.repeat_last_n = 4;
  std::vector<int32_t> text = prompt;
  for (const int32_t token : engine.run(std::move(request)).tokens) {
    EXPECT_EQ(std::count(text.end() - 4, text.end(), token), 0);
    text.push_back(token);
  }
}

TEST(Sampling, DrySeesPromptAndBreakers) {
  Engine engine(options());
  Request request = greedy(engine, "abcdefgh");
  const std::vector<int32_t> first = engine.run(Request(request)).tokens;
  // The same again behind itself: greedy decoding repeats, DRY does not.
  const auto twice = [&](const std::string& breaker) {
    Request again = request;
    again.prompt.insert(again.prompt.end(), first.begin(), first.end());
    again.prompt.insert(again.prompt.end(), request.prompt.begin() + 1, request.prompt.end());
    again.max_tokens = 1;
    again.sampling.dry_multiplier = 1000;
    again.sampling.dry_sequence_breakers = {breaker};
    return engine.run(std::move(again)).tokens[0];
  };
  EXPECT_NE(twice("no such text"), first[0]);
  Request plain = request;
  plain.prompt.insert(plain.prompt.end(), first.begin(), first.end());
  plain.prompt.insert(plain.prompt.end(), request.prompt.begin() + 1, request.prompt.end());
  plain.max_tokens = 1;
  EXPECT_EQ(twice("h"), engine.run(std::move(plain)).tokens[0]) << "ends at the breaker";
}

// What ends the text is always the likeliest.
TEST(Sampling, NothingEndsTheTextBeforeMinTokens) {
  Engine engine(options());
  const int32_t eos = engine.info().eos;
  for (const bool stops : {false, true}) {
    Request request = greedy(engine);
    const int32_t token = stops ? 65 : eos;
    request.ignore_eos = false;
    if (stops) request.stop_tokens = {token};
    request.sampling.logit_bias = {{token, 1000.0F}};
    request.min_tokens = 5;
    const Completion completion = engine.run(std::move(request));
    EXPECT_EQ(completion.finish_reason, FinishReason::kStop);
    EXPECT_EQ(completion.tokens.size(), 5u);
    EXPECT_EQ(std::ranges::count(completion.tokens, token), 0);
    EXPECT_EQ(completion.stop_token, stops ? token : -1);
  }
}

TEST(Sampling, StopStringsAreLookedForBehindMinTokens) {
  Engine engine(options());
  const auto run = [&](const std::string& stop) {
    Request request = greedy(engine);
    request.sampling.logit_bias = {{engine.encode("a", false, false).back(), 1000.0F}};
    request.stop = {stop};
    request.min_tokens = 4;
    return engine.run(std::move(request));
  };
  EXPECT_EQ(run("a").text, "aaaa");
  EXPECT_EQ(run("a").tokens.size(), 5u);
  EXPECT_EQ(run("aaa").text, "aa") << "it ends in the fifth";
  EXPECT_EQ(run("aaa").finish_reason, FinishReason::kStop);
}

TEST(Sampling, MinTokensThatCannotComeAreRefused) {
  Engine engine(options());
  Request request = greedy(engine);
  request.max_tokens = 10;
  request.min_tokens = 11;
  expect_error(ErrorCode::kInvalidArgument, {"`min_tokens` is 11", "at most 10"},
               [&] { engine.submit(request); });
  request.max_tokens = -1;
  request.min_tokens = 1024;
  expect_error(ErrorCode::kExhausted, {"1024 are to be generated"},
               [&] { engine.submit(request); });
  request.min_tokens = -1;
  expect_error(ErrorCode::kInvalidArgument, {"`min_tokens` is -1"},
               [&] { engine.submit(request); });
  request.min_tokens = 1;
  for (int32_t token = 0; token < 259; ++token) {
    if (token == engine.info().eos) continue;
    request.sampling.logit_bias.emplace_back(token, kNever);
  }
  EXPECT_THAT(engine.run(std::move(request)).error, HasSubstr("`min_tokens` or `logit_bias`"));
}

TEST(Sampling, RefusesWhatIsOutOfRange) {
  Engine engine(options());
  Request request = greedy(engine);
  request.sampling.logit_bias = {{259, 1.0F}};
  expect_error(ErrorCode::kInvalidArgument, {"vocabulary of 259"}, [&] { engine.submit(request); });
  request = greedy(engine);
  request.logprobs = -2;
  expect_error(ErrorCode::kInvalidArgument, {"`logprobs`"}, [&] { engine.submit(request); });
}

TEST(Sampling, LogprobsAreOfEachTokenBeforeSampling) {
  Engine engine(options());
  Request request = greedy(engine);
  request.sampling.logit_bias = {{65, 1000.0F}};  // always drawn, likely or not
  request.logprobs = 3;
  std::vector<float> streamed;
  request.on_token = [&](const TokenEvent& event) {
    if (event.token < 0) return;
    ASSERT_NE(event.logprobs, nullptr);
    EXPECT_EQ(event.logprobs->drawn.token, event.token);
    streamed.push_back(event.logprobs->drawn.logprob);
  };
  const Completion completion = engine.run(std::move(request));
  ASSERT_EQ(completion.logprobs.size(), completion.tokens.size());
  ASSERT_EQ(streamed.size(), completion.tokens.size());
  double likeliest = 0;
  for (size_t i = 0; i < completion.logprobs.size(); ++i) {
    const TokenLogprobs& one = completion.logprobs[i];
    EXPECT_EQ(one.drawn.token, 65);
    EXPECT_EQ(one.drawn.logprob, streamed[i]);
    ASSERT_EQ(one.top.size(), 3u);
    EXPECT_GE(one.top[0].logprob, one.top[1].logprob);
    EXPECT_LE(one.drawn.logprob, one.top[0].logprob);
    likeliest += std::exp(one.top[0].logprob);
  }
  EXPECT_LT(likeliest, static_cast<double>(completion.tokens.size()));
}

TEST(Sampling, LogprobsCanBeThoseOfTheDraw) {
  Engine engine(options());
  Request request = greedy(engine);
  request.sampling.temperature = 1;
  request.sampling.top_k = 2;
  request.sampling.top_p = 1;
  request.sampling.min_p = 0;
  request.logprobs = 3;
  request.sampled_logprobs = true;
  const Completion completion = engine.run(std::move(request));
  ASSERT_EQ(completion.logprobs.size(), completion.tokens.size());
  for (const TokenLogprobs& one : completion.logprobs) {
    ASSERT_EQ(one.top.size(), 2u) << "no more were left";
    EXPECT_NEAR(std::exp(one.top[0].logprob) + std::exp(one.top[1].logprob), 1, 1e-6);
    const bool first = one.drawn.token == one.top[0].token;
    EXPECT_EQ(one.drawn.token, one.top[first ? 0 : 1].token);
    EXPECT_EQ(one.drawn.logprob, one.top[first ? 0 : 1].logprob);
  }
}

TEST(Sampling, GreedyTokensHaveTheFirstLogprobExactly) {
  Engine engine(options());
  Request request = greedy(engine);
  request.logprobs = 1;
  const Completion completion = engine.run(std::move(request));
  for (const TokenLogprobs& one : completion.logprobs) {
    EXPECT_EQ(one.drawn.token, one.top[0].token);
    EXPECT_EQ(one.drawn.logprob, one.top[0].logprob);
  }
  EXPECT_TRUE(engine.run(greedy(engine)).logprobs.empty());
}

// Of every token of a prompt, with the bits of reading it alone, whoever shares the cache.
TEST(Sampling, PromptTokensHaveLogprobs) {
  EngineOptions small = options(3);
  small.context_size = 320;
  Engine engine(small);
  std::vector<Request> requests;
  std::array<std::vector<int32_t>, 3> streamed;
  for (unsigned i = 0; i < 3; ++i) {
    requests.push_back(greedy(engine, long_text(100 + 30 * i, i % 2)));
    requests.back().max_tokens = 100;
    requests.back().logprobs = 2;
    requests.back().prompt_logprobs = true;
    requests.back().on_token = [&streamed, i](const TokenEvent& event) {
      for (const TokenLogprobs& one : event.prompt_logprobs) streamed[i].push_back(one.drawn.token);
    };
  }
  const std::vector<Completion> done = run_together(engine, requests);
  EXPECT_GT(engine.stats().paused, 0);
  Engine other(options(1));
  Runtime& runtime = runtime_of(other);
  for (size_t i = 0; i < done.size(); ++i) {
    const std::vector<int32_t>& prompt = requests[i].prompt;
    ASSERT_EQ(done[i].prompt_logprobs.size() + 1, prompt.size());
    EXPECT_EQ(streamed[i], std::vector<int32_t>(prompt.begin() + 1, prompt.end())) << "once";
    Sequence sequence = runtime.sequence(runtime.full_attention());
    for (size_t t = 0; t + 1 < prompt.size(); ++t) {
      sequence.enqueue(std::span(prompt).subspan(t, 1));
      const TokenLogprobs expected = log_probabilities(runtime.run(sequence), prompt[t + 1], 2);
      const TokenLogprobs& got = done[i].prompt_logprobs[t];
      ASSERT_EQ(got.drawn.token, prompt[t + 1]);
      ASSERT_EQ(got.drawn.logprob, expected.drawn.logprob) << "token " << t + 1 << " of " << i;
      ASSERT_EQ(got.top[1].token, expected.top[1].token);
    }
    EXPECT_EQ(done[i].reused_tokens, 0);
  }
  requests[0].logprobs = -1;
  expect_error(ErrorCode::kInvalidArgument, {"`logprobs`"}, [&] { engine.submit(requests[0]); });
}

}  // namespace
}  // namespace tidal::test
