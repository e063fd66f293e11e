#include "engine/inbox.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "attention/registry.h"
#include "runtime/model_text.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::unique_ptr<ActiveRequest> make_request() {
  static const Tokenizer tokenizer = load_tokenizer(data_path("tiny-llama.gguf"));
  return std::make_unique<ActiveRequest>(Request{}, full_attention(2), 8, Sampler({}, 8),
                                         StreamDecoder(tokenizer));
}

TEST(Inbox, NumbersRequestsAndStopsThem) {
  Inbox inbox(0);
  EXPECT_EQ(inbox.push(make_request()), 1u);
  EXPECT_EQ(inbox.push(make_request()), 2u);
  const Inbox::Mail mail = inbox.take();
  ASSERT_EQ(mail.requests.size(), 2u);
  inbox.cancel(2);
  inbox.cancel(99);
  EXPECT_FALSE(*mail.requests[0]->stop_flag);
  EXPECT_TRUE(*mail.requests[1]->stop_flag);
  EXPECT_THAT(inbox.take().cancelled, ElementsAre(2));
  inbox.forget(1);
  inbox.cancel(1);
  EXPECT_THAT(inbox.take().cancelled, ElementsAre());
}

TEST(Inbox, RefusesMoreThanItMayHold) {
  Inbox inbox(2);
  inbox.push(make_request());
  inbox.push(make_request());
  try {
    inbox.push(make_request());
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kExhausted);
    EXPECT_EQ(error.option(), "max_queue");
    EXPECT_THAT(error.what(), HasSubstr("2 requests"));
  }
  inbox.take();
  EXPECT_THROW(inbox.push(make_request()), Error) << "taken, but not ended";
  inbox.forget(1);
  EXPECT_EQ(inbox.push(make_request()), 3u);
}

TEST(Inbox, WaitsForNewsAndForTheEnd) {
  Inbox inbox(0);
  EXPECT_TRUE(inbox.wait(/*busy=*/true));
  std::thread other([&] { inbox.push(make_request()); });
  EXPECT_TRUE(inbox.wait(/*busy=*/false));
  other.join();
  EXPECT_TRUE(inbox.wait(/*busy=*/false)) << "not taken yet";
  inbox.take();
  std::thread last([&] { inbox.close(); });
  EXPECT_FALSE(inbox.wait(/*busy=*/false));
  last.join();
  EXPECT_FALSE(inbox.wait(/*busy=*/true));
}

}  // namespace
}  // namespace tidal::test
