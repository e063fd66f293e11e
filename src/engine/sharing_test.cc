// Requests that share one cache: growing, pausing, waiting for each other, being stopped.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <map>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "engine/engine_model.h"
#include "engine/engine_test_util.h"

namespace tidal::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

EngineOptions small_cache(int64_t tokens, int32_t max_sequences = 4) {
  EngineOptions small = options(max_sequences);
  small.context_size = tokens;
  return small;
}

// Answers that end when the cache is full or their text does: nobody sets aside what they may use.
TEST(EngineSharing, AnswersWithoutALimitRunTogether) {
  Engine engine(small_cache(512));
  int64_t most_running = 0;
  std::vector<Request> requests;
  for (unsigned i = 0; i < 4; ++i) {
    Request request = make_request(engine, long_text(40 + i, i), "full");
    request.max_tokens = -1;
    request.on_token = [&, n = 0, id = RequestId{i + 1}](const TokenEvent&) mutable {
      most_running = std::max(most_running, engine.stats().running);
      if (++n == 30) engine.cancel(id);
    };
    requests.push_back(std::move(request));
  }
  for (const Completion& completion : run_together(engine, std::move(requests))) {
    EXPECT_GE(completion.tokens.size(), 30u);
  }
  EXPECT_EQ(most_running, 4);
}

// Together they grow to three times the cache.
TEST(EngineSharing, PausedRequestsGoOnWithTheirTokens) {
  Engine alone(options(1));
  Engine engine(small_cache(448));
  std::vector<Request> requests;
  for (Request& request : mixed_requests(engine)) {
    request.max_tokens = 180;
    requests.push_back(std::move(request));
  }
  const std::vector<Completion> done = run_together(engine, requests);
  EXPECT_GT(engine.stats().paused, 2);
  for (size_t i = 0; i < requests.size(); ++i) {
    Request again = requests[i];
    again.cache_prompt = false;
    const Completion expected = alone.run(std::move(again));
    EXPECT_EQ(done[i].tokens, expected.tokens) << i;
    EXPECT_EQ(done[i].text, expected.text) << i;
    EXPECT_EQ(done[i].finish_reason, FinishReason::kLength);
    EXPECT_EQ(done[i].rows.read, expected.rows.read) << i << ": steps run again count once";
    EXPECT_EQ(done[i].corrections, expected.corrections) << i;
  }
}

// Of those that share a prompt one reads it.
TEST(EngineSharing, APromptOfManyIsReadOnce) {
  Engine engine(options(4));
  std::vector<Request> requests;
  for (unsigned i = 0; i < 4; ++i) {
    requests.push_back(make_request(engine, long_text(200), "full"));
    requests.back().sampling.seed = i;
  }
  requests[3].prompt.resize(150);
  const std::vector<Completion> done = run_together(engine, std::move(requests));
  const int64_t n = done[0].prompt_tokens;
  EXPECT_EQ(engine.stats().prompt_tokens, n + 2 * (n - (n - 1) / 16 * 16) + (150 - 144));
  EXPECT_EQ(done[3].reused_tokens, 144);
  EXPECT_NE(done[0].tokens, done[1].tokens) << "with another seed";
}

TEST(EngineSharing, SaysWhyReuseEnded) {
  Engine engine(options(1));
  const auto note = [&](const std::string& text) {
    Request request = make_request(engine, text, "full");
    request.max_tokens = 1;
    return engine.run(std::move(request)).reuse_note;
  };
  std::string text = "The tide comes in, and the tide goes out again: " + long_text(60);
  EXPECT_EQ(note(text), "no cached text begins alike");
  EXPECT_THAT(note(text), IsEmpty());
  EXPECT_THAT(note(text + "and so on, " + long_text(40, 1)), HasSubstr("differs"));
  text[30] = '#';
  EXPECT_THAT(note(text), AllOf(HasSubstr("differs"), HasSubstr("token"), HasSubstr("#")));
}

// Counts layers, and cancels in the first one.
class CancelsInALayer : public AttentionObserver {
 public:
  explicit CancelsInALayer(std::function<void()> cancel) : cancel_(std::move(cancel)) {}
  void on_attention(int32_t layer, std::span<const AttentionItem> items) override {
    if (layer == 0) cancel_();
    if (layer > 0) most_items_behind = std::max(most_items_behind, items.size());
  }
  size_t most_items_behind = 0;

 private:
  std::function<void()> cancel_;
};

TEST(EngineSharing, CancellingGivesUpAChunkWithinALayer) {
  Engine engine(options(2));
  Engine alone(options(1));
  Request other = make_request(engine, long_text(50), "tidal", kOwn);
  Request copy = other;
  Request prompt = make_request(engine, long_text(300, 1), "full");
  RequestId id = 0;
  bool submitted = false;
  std::vector<Completion> done;
  other.on_token = [&](const TokenEvent&) {
    if (std::exchange(submitted, true)) return;
    prompt.on_finish = [&](const Completion& completion) { done.push_back(completion); };
    id = engine.submit(prompt);
  };
  CancelsInALayer observer([&] {
    if (id != 0) engine.cancel(id);
  });
  runtime_of(engine).decoder().observe(&observer);
  const Completion completion = engine.run(std::move(other));
  EXPECT_EQ(observer.most_items_behind, 1u) << "the prompt got no further than one layer";
  ASSERT_EQ(done.size(), 1u);
  EXPECT_EQ(done[0].finish_reason, FinishReason::kCancelled);
  EXPECT_EQ(completion.tokens, alone.run(std::move(copy)).tokens);

  runtime_of(engine).decoder().observe(nullptr);
  prompt.cache_prompt = true;
  prompt.on_finish = nullptr;
  copy = prompt;
  EXPECT_EQ(engine.run(prompt).reused_tokens, 0) << "rows that were given up are not kept";
  EXPECT_EQ(engine.run(prompt).tokens, alone.run(std::move(copy)).tokens);
}

TEST(EngineSharing, AFullQueueRefuses) {
  EngineOptions limited = options(1);
  limited.max_queue = 2;
  Engine engine(limited);
  for (int i = 0; i < 3; ++i) engine.submit(make_request(engine, "abc", "full"));
  try {
    engine.submit(make_request(engine, "abc", "full"));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.option(), "max_queue");
  }
  while (engine.step()) {
  }
  EXPECT_EQ(engine.run(make_request(engine, "abc", "full")).finish_reason, FinishReason::kLength);
}

TEST(EngineSharing, StopTokensEndTheText) {
  Engine engine(options(1));
  const Completion whole = engine.run(make_request(engine, "abcdef", "full"));
  Request request = make_request(engine, "abcdef", "full");
  request.stop_tokens = {whole.tokens[5]};
  const Completion stopped = engine.run(std::move(request));
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
  EXPECT_EQ(stopped.stop_token, whole.tokens[5]);
  const auto first = std::ranges::find(whole.tokens, whole.tokens[5]);
  EXPECT_EQ(stopped.tokens, std::vector<int32_t>(whole.tokens.begin(), first));
}

// A thread that steps while there is work; stats and requests from this one.
TEST(EngineSharing, WaitsForRequestsUntilItIsClosed) {
  Engine engine(options(2));
  std::thread steps([&] {
    while (engine.wait()) engine.step();
  });
  for (int i = 0; i < 3; ++i) {
    std::promise<Completion> result;
    Request request = make_request(engine, long_text(40), "full");
    request.on_finish = [&](const Completion& completion) { result.set_value(completion); };
    engine.submit(std::move(request));
    EXPECT_EQ(result.get_future().get().tokens.size(), 24u);
  }
  std::promise<void> begun;
  Request endless = make_request(engine, long_text(40), "full");
  endless.max_tokens = 900;
  endless.on_token = [&, first = true](const TokenEvent&) mutable {
    if (std::exchange(first, false)) begun.set_value();
  };
  const RequestId id = engine.submit(std::move(endless));
  begun.get_future().wait();
  while (engine.requests().empty()) std::this_thread::yield();
  EXPECT_EQ(engine.requests()[0].id, id);
  EXPECT_GE(engine.stats().generated_tokens, 72);
  engine.cancel(id);
  engine.close();
  steps.join();
  EXPECT_FALSE(engine.wait());
  EXPECT_EQ(engine.stats().finished[static_cast<size_t>(FinishReason::kLength)], 3);
}

// As a server is used: all at once, of any length, some given up, and too little room for all.
TEST(EngineSharing, WhoeverRunsBesideNoTokenChanges) {
  std::mt19937 random(5);
  const auto below = [&](size_t n) { return static_cast<size_t>(random()) % n; };
  EngineOptions crowded = small_cache(640, 8);
  Engine engine(crowded);
  Engine alone(options(1));
  std::map<RequestId, Request> asked;
  std::map<RequestId, Completion> done;
  std::vector<Request> mixed = mixed_requests(engine);
  for (int i = 0; i < 32; ++i) {
    Request request = mixed[below(mixed.size())];
    request.prompt = engine.encode(long_text(20 + below(300), static_cast<unsigned>(below(4))));
    request.max_tokens = 10 + static_cast<int64_t>(below(200));
    request.sampling.seed = below(100);
    Request copy = request;
    request.on_finish = [&](const Completion& completion) { done[completion.id] = completion; };
    if (below(5) == 0) {
      request.on_token = [&, left = below(40), id = RequestId(i + 1)](const TokenEvent&) mutable {
        if (left-- == 0) engine.cancel(id);
      };
    }
    asked.emplace(engine.submit(std::move(request)), std::move(copy));
    for (size_t steps = below(12); steps > 0; --steps) engine.step();
  }
  while (engine.step()) {
  }
  ASSERT_EQ(done.size(), 32u);
  EXPECT_GT(engine.stats().paused, 0);
  for (auto& [id, request] : asked) {
    const Completion& completion = done.at(id);
    request.cache_prompt = false;
    std::vector<int32_t> expected = alone.run(std::move(request)).tokens;
    if (completion.finish_reason == FinishReason::kCancelled) {
      ASSERT_LE(completion.tokens.size(), expected.size());
      expected.resize(completion.tokens.size());
    }
    ASSERT_EQ(completion.tokens, expected) << "request " << id;
  }
  const EngineStats stats = engine.stats();
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.cached_tokens, stats.kept_tokens) << "every page is free or kept";
}

}  // namespace
}  // namespace tidal::test
