#include "server/logprobs.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tidal::server {
namespace {

// Tokens 0 to 3: "a", "é", half a character, "a" again.
ReplyInfo info() {
  ReplyInfo info;
  info.piece = [](int32_t token) {
    const std::string pieces[] = {"a", "é", "\xC3", "a"};
    return pieces[token];
  };
  return info;
}

std::vector<TokenLogprobs> some() {
  return {{{1, -0.5F}, {{1, -0.5F}, {0, -1.5F}, {3, -2.5F}}},
          {{2, -std::numeric_limits<float>::infinity()}, {{0, -0.25F}}}};
}

TEST(Logprobs, OfChat) {
  const Json content = chat_logprobs(info(), some(), false)["content"];
  ASSERT_EQ(content.size(), 2U);
  EXPECT_EQ(content[0]["token"], "é");
  EXPECT_EQ(content[0]["bytes"], Json::array({0xC3, 0xA9}));
  EXPECT_EQ(content[0]["top_logprobs"].size(), 3U);
  EXPECT_EQ(content[0]["logprob"], content[0]["top_logprobs"][0]["logprob"]);
  EXPECT_EQ(content[1]["logprob"], -9999);
  EXPECT_FALSE(content[0].contains("id"));
}

TEST(Logprobs, OfLlamaHaveIds) {
  const Json list = llama_logprobs(info(), some(), false);
  EXPECT_EQ(list[0]["id"], 1);
  EXPECT_EQ(list[0]["top_logprobs"][2]["id"], 3);
}

TEST(Logprobs, CanBeProbabilities) {
  const std::vector<TokenLogprobs> certain{{{1, 0}, {{1, 0}}}};
  const Json list = llama_logprobs(info(), certain, true);
  EXPECT_EQ(list[0]["prob"], 1);
  EXPECT_EQ(list[0]["top_probs"][0]["prob"], 1);
  EXPECT_EQ(list[0]["top_probs"][0]["id"], 1);
  EXPECT_FALSE(list[0].contains("logprob") || list[0].contains("top_logprobs"));
  const Json content = chat_logprobs(info(), some(), true)["content"];
  EXPECT_FLOAT_EQ(content[0]["top_probs"][1]["prob"].get<float>(), std::exp(-1.5F));
  EXPECT_EQ(content[1]["prob"], 0);
}

TEST(Logprobs, OfCompletionsCountCharacters) {
  int64_t offset = 0;
  Json json = completion_logprobs(info(), some(), &offset);
  EXPECT_EQ(json["text_offset"], Json::array({0, 1}));
  EXPECT_EQ(json["token_logprobs"], Json::array({-0.5, -9999}));
  // Of two tokens with the same text the likelier one stays; the drawn one is always there.
  EXPECT_EQ(json["top_logprobs"][0], Json({{"é", -0.5}, {"a", -1.5}}));
  EXPECT_EQ(json["top_logprobs"][1].size(), 2U);
  EXPECT_EQ(offset, 2);
  prepend_first_token(info(), 0, &json, &offset);
  EXPECT_EQ(offset, 3);
  EXPECT_EQ(json["text_offset"], Json::array({0, 1, 2}));
  EXPECT_EQ(json["token_logprobs"][0], Json());
  EXPECT_EQ(json["top_logprobs"][0], Json());
  EXPECT_EQ(json["tokens"].size(), 3U);
}

}  // namespace
}  // namespace tidal::server
