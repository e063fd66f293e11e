// An engine whose machine has little memory left.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine_model.h"
#include "engine/engine_test_util.h"

namespace tidal::test {
namespace {

using testing::HasSubstr;

// An engine on a machine whose memory holds this many pages of the cache.
class EngineMemory : public testing::Test {
 protected:
  EngineMemory() {
    runtime_of(engine_).ask_for_memory([this] {
      const Runtime& runtime = runtime_of(engine_);
      const int64_t left = pages_ - runtime.written_pages();
      return static_cast<uint64_t>(left) * kPageRows * bytes_per_token_;
    });
  }
  Request request(size_t n_prompt, int64_t max_tokens, unsigned salt = 0) {
    Request request = make_request(engine_, long_text(n_prompt, salt), "full");
    request.max_tokens = max_tokens;
    request.stop = {"never"};  // an answer that may end before its length does
    return request;
  }
  std::string refusal(Request request) {
    try {
      engine_.submit(std::move(request));
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kExhausted);
      return error.what();
    }
    return "admitted";
  }

  int64_t pages_ = 20;  // 320 tokens
  Engine engine_{options()};
  const size_t bytes_per_token_ = runtime_of(engine_).pool().bytes_per_token();
};

TEST_F(EngineMemory, RefusesAPromptBeyondIt) {
  EXPECT_THAT(refusal(request(321, 5)),
              AllOf(HasSubstr("KV cache"), HasSubstr("321 tokens"), HasSubstr("GiB"),
                    HasSubstr("`context_size`"), HasSubstr("`k_cache_type`")));
  Request to_the_end = request(300, 22);
  EXPECT_EQ(refusal(to_the_end), "admitted") << "it may end before";
  to_the_end.stop.clear();
  EXPECT_THAT(refusal(to_the_end), HasSubstr("321 tokens"));
  to_the_end.max_tokens = 21;
  EXPECT_EQ(engine_.run(to_the_end).tokens.size(), 21u);
  to_the_end.prompt = engine_.encode(long_text(320, 9));
  to_the_end.max_tokens = 1;
  EXPECT_EQ(engine_.run(to_the_end).tokens.size(), 1u) << "pages of others are free again";
}

TEST_F(EngineMemory, AnAnswerThatGrowsBeyondItEndsWithWhatItHas) {
  pages_ = 18;
  std::vector<Request> requests;
  requests.push_back(request(100, 400));
  requests.push_back(request(90, 20, 1));
  const std::vector<Completion> done = run_together(engine_, std::move(requests));
  EXPECT_EQ(done[0].finish_reason, FinishReason::kError);
  EXPECT_THAT(done[0].error, AllOf(HasSubstr("KV cache"), HasSubstr("`max_tokens`")));
  EXPECT_EQ(done[0].tokens.size(), 18u * kPageRows - 100 + 1);
  EXPECT_FALSE(done[0].text.empty());
  EXPECT_EQ(done[1].finish_reason, FinishReason::kLength);
  EXPECT_EQ(done[1].tokens.size(), 20u);
}

TEST_F(EngineMemory, RequestsThatFitOneAfterTheOtherWait) {
  std::vector<Request> requests;
  for (unsigned i = 0; i < 3; ++i) requests.push_back(request(200, 20, i));
  for (const Completion& completion : run_together(engine_, std::move(requests))) {
    EXPECT_EQ(completion.finish_reason, FinishReason::kLength) << completion.error;
  }
}

TEST_F(EngineMemory, KeptRowsDoNotCountAndMakeWay) {
  Request first = request(290, 10);
  Request again = first;
  again.prompt = engine_.encode(long_text(290) + "abcdefghi");
  engine_.run(std::move(first));
  EXPECT_EQ(refusal(again), "admitted");
  EXPECT_GT(engine_.run(again).reused_tokens, 280);
  Request other = request(300, 10, 5);
  const Completion completion = engine_.run(std::move(other));
  EXPECT_EQ(completion.finish_reason, FinishReason::kLength) << completion.error;
}

}  // namespace
}  // namespace tidal::test
