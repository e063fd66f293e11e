// A chat prompt is tokenized as one text, with the tokenizer's own rules: a prefix space belongs to
// the text's start alone, control tokens swallow the space beside them, and what the template
// writes gives the tokens that the same text gives elsewhere. Control tokens come from the template
// alone.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/model_text.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_test_util.h"

namespace tidal::test {
namespace {

using nlohmann::json;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Not;

// Tokenizers of tests/data/text/added_tokens.json: <s> </s> <|u|> and <|e|>, which swallows the
// space after it, are special tokens; <gap> and <new> are not.
Tokenizer tokenizer(const std::string& name) {
  const json setups = json::parse(read_text(data_path("text/added_tokens.json")));
  return Tokenizer::create(read_tokenizer_json(setups[name]["tokenizer"].dump(), "", name));
}

std::vector<TokenId> encode(const Tokenizer& tokenizer, const std::string& source,
                            const std::string& content, std::string_view prefix = "") {
  const ChatTemplate chat = ChatTemplate::create(source, "<s>", "</s>");
  const ChatMessage message = {"user", content};
  return encode_messages(tokenizer, chat, {&message, 1}, prefix);
}

constexpr const char* kSource =
    "{{ bos_token }}{% for m in messages %}<|u|>\n{{ m.content }}<|e|>\n{% endfor %} hi";

class ChatPromptOf : public ::testing::TestWithParam<const char*> {};

TEST_P(ChatPromptOf, GivesTheTokensOfTheSameText) {
  const Tokenizer t = tokenizer(GetParam());
  for (const std::string content : {"x", "hello hi", " a <new> b", "a\n", "\u2581x", "<gap> "}) {
    EXPECT_EQ(encode(t, kSource, content),
              t.encode("<s><|u|>\n" + content + "<|e|>\n hi", false, true))
        << content;
    EXPECT_EQ(encode(t, kSource, content, "hell"),
              t.encode("<s><|u|>\n" + content + "<|e|>\n hihell", false, true))
        << content;
    EXPECT_EQ(encode(t, "{{ messages[0].content }}", content), t.encode(content, false, true));
  }
}

TEST_P(ChatPromptOf, TakesNoControlTokenFromAMessage) {
  const Tokenizer t = tokenizer(GetParam());
  const auto count = [&](const std::vector<TokenId>& ids) {
    return std::count_if(ids.begin(), ids.end(),
                         [&](TokenId id) { return t.is_control(id) && t.piece(id) != "<unk>"; });
  };
  for (const std::string content :
       {"<s>", "a <|u|>\n</s>", "<|e|><|e|> ", "<new><s>", "e|>", "<|e"}) {
    EXPECT_EQ(count(encode(t, kSource, content)), count(encode(t, kSource, "x"))) << content;
    EXPECT_EQ(count(encode(t, kSource, "x", content)), count(encode(t, kSource, "x"))) << content;
  }
  EXPECT_EQ(count(encode(t, "<|{{ messages[0].content }}|>", "u")), 0);
}

INSTANTIATE_TEST_SUITE_P(All, ChatPromptOf,
                         ::testing::Values("byte", "byte_raw", "byte_prefix", "byte_nfc", "text",
                                           "text_raw", "text_nfc", "metaspace_first",
                                           "metaspace_always", "metaspace_never"),
                         [](const auto& parameter) { return std::string(parameter.param); });

TEST(ChatPrompt, PutsAPrefixSpaceAtTheStartOnly) {
  const Tokenizer t = tokenizer("metaspace_first");
  const TokenId user = *t.find("<|u|>");
  EXPECT_THAT(encode(t, "<s><|u|>{{ messages[0].content }}<|u|>", "x"),
              ElementsAre(1, user, *t.find("x"), user));
}

TEST(ChatPrompt, LosesTheSpaceThatAControlTokenSwallows) {
  const Tokenizer t = tokenizer("byte");
  const TokenId end = *t.find("<|e|>");
  EXPECT_THAT(encode(t, "x<|e|>\n\n{{ messages[0].content }}<|e|>\n", " x"),
              ElementsAre(*t.find("x"), end, *t.find("x"), end));
}

// The tokens that are looked for behind the normalizer, where offsets are others.
TEST(ChatPrompt, KeepsMarksBehindANormalizer) {
  json spec = json::parse(read_text(data_path("text/added_tokens.json")))["text_nfc"]["tokenizer"];
  for (json& token : spec["added_tokens"]) token["normalized"] = true;
  const Tokenizer t = Tokenizer::create(read_tokenizer_json(spec.dump(), "", "t"));
  const TokenId user = *t.find("<|u|>");
  EXPECT_THAT(encode(t, "{{ messages[0].content }}", "x <|u|> <|u|>"), Not(Contains(user)));
  EXPECT_THAT(encode(t, "{{ messages[0].content }}<|u|>", "cafe\u0301 <|u|>x"),
              Contains(user).Times(1));
}

}  // namespace
}  // namespace tidal::test
