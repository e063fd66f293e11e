#include "eval/needle_prompt.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "eval/needle.h"
#include "runtime/model_options.h"
#include "runtime/model_text.h"
#include "testing/error.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

class NeedlePromptsTest : public testing::Test {
 protected:
  NeedlePrompts prompts(const std::vector<std::string>& books = {}, bool chat = true) const {
    const Tokenizer tokenizer = load_tokenizer(*model_);
    std::vector<std::vector<int32_t>> tokens;
    for (const std::string& book : books) tokens.push_back(tokenizer.encode(book, false, false));
    return {tokenizer, chat ? load_chat_template(*model_, tokenizer) : std::nullopt,
            std::move(tokens)};
  }
  static std::string text(const NeedlePrompts& from, const NeedlePrompt& prompt) {
    return from.tokenizer().decode(prompt.tokens, /*keep_special=*/true);
  }
  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
};

TEST_F(NeedlePromptsTest, AreExactlyAsLongAsAsked) {
  for (const bool chat : {true, false}) {
    const NeedlePrompts make = prompts({}, chat);
    for (const NeedleKind kind : {NeedleKind::kPasskey, NeedleKind::kPairs, NeedleKind::kMulti}) {
      for (const int64_t length : {700, 701, 997, 1500}) {
        for (const double depth : {0.0, 0.3, 1.0}) {
          const NeedlePrompt prompt = make.make(kind, length, depth, 7);
          EXPECT_EQ(std::ssize(prompt.tokens), length);
          const std::string all = text(make, prompt);
          for (const std::string& answer : prompt.expected) {
            EXPECT_NE(all.find(answer), std::string::npos) << all;
          }
          EXPECT_EQ(needle_score(all, prompt.expected), 1);
        }
      }
    }
  }
}

TEST_F(NeedlePromptsTest, DepthIsWhereTheNeedleLies) {
  const NeedlePrompts make = prompts();
  const auto place = [&](double depth) {
    const NeedlePrompt prompt = make.make(NeedleKind::kPasskey, 1500, depth, 3);
    return static_cast<double>(
        text(make, prompt).find("The secret passkey is " + prompt.expected.front()));
  };
  const double first = place(0);
  const double last = place(1);
  EXPECT_GT(last - first, 1100);
  EXPECT_NEAR(place(0.5), (first + last) / 2, 70);  // at the end of a sentence
  EXPECT_NEAR(place(0.25), first + (last - first) / 4, 70);
}

TEST_F(NeedlePromptsTest, AreWellFormed) {
  const NeedlePrompts make = prompts();
  const std::string all = text(make, make.make(NeedleKind::kPasskey, 600, 0.5, 3));
  EXPECT_TRUE(all.ends_with("The secret passkey is")) << all;
  EXPECT_EQ(all.find("marker"), std::string::npos);
  EXPECT_NE(all.find("user\n"), std::string::npos);
  EXPECT_NE(all.find("above?<|im_end|>\n<|im_start|>assistant\n"), std::string::npos) << all;
  // The pairs are JSON except for their last comma.
  const NeedlePrompt pairs = make.make(NeedleKind::kPairs, 1203, 0.5, 3);
  const std::string text_of_pairs = text(make, pairs);
  const std::string value = pairs.expected.front();
  EXPECT_NE(text_of_pairs.find("\": \"" + value + "\",\n"), std::string::npos);
  EXPECT_TRUE(text_of_pairs.ends_with("\" is \""));
  const NeedlePrompt multi = make.make(NeedleKind::kMulti, 1500, 0.5, 3);
  EXPECT_EQ(multi.expected.size(), 4u);
  EXPECT_EQ(needle_score("x" + multi.expected[0] + "," + multi.expected[2], multi.expected), 0.5);
}

TEST_F(NeedlePromptsTest, SeedsDecide) {
  const NeedlePrompts make = prompts();
  const auto tokens = [&](uint64_t seed) {
    return make.make(NeedleKind::kPasskey, 900, 0.5, seed).tokens;
  };
  EXPECT_EQ(tokens(1), tokens(1));
  EXPECT_NE(tokens(1), tokens(2));
}

TEST_F(NeedlePromptsTest, BooksAreTheFiller) {
  std::string book;
  for (int i = 0; i < 200; ++i) book += "Line " + std::to_string(i) + " of the book ends here.\n";
  const NeedlePrompts make = prompts({book});
  const std::string all = text(make, make.make(NeedleKind::kPasskey, 900, 0.5, 5));
  const size_t at = all.find("of the book ends here.\nLine");
  EXPECT_NE(at, std::string::npos);
  expect_error(ErrorCode::kInvalidArgument, {"the text has", "--lengths"},
               [&] { make.make(NeedleKind::kPasskey, 100000, 0.5, 5); });
}

TEST_F(NeedlePromptsTest, TooShortAPromptIsRefused) {
  const NeedlePrompts make = prompts();
  for (const NeedleKind kind : {NeedleKind::kPasskey, NeedleKind::kPairs, NeedleKind::kMulti}) {
    expect_error(ErrorCode::kInvalidArgument, {"a prompt of 60 tokens", "--lengths"},
                 [&] { make.make(kind, 60, 0.5, 1); });
  }
  expect_error(ErrorCode::kInvalidArgument, {"vibes"}, [] { needle_kind("vibes"); });
}

TEST_F(NeedlePromptsTest, AnswersDoNotDependOnWhoElseIsAsked) {
  const NeedlePrompts make = prompts();
  const NeedlePrompt prompt = make.make(NeedleKind::kPasskey, 400, 0.5, 1);
  const Config& c = model_->config();
  EngineOptions engine;
  engine.threads = 1;
  std::vector<std::shared_ptr<const AttentionMethod>> methods;
  for (const char* name : {"full", "tidal", "window"}) {
    MethodOptions options;
    options.name = name;
    options.budget = "32";
    options.min_context = 0;
    methods.push_back(method_for(*model_, options, engine));
  }
  Branches branches(model_, engine, 3, 400, prompt.answer_tokens);
  const auto all = ask_needle(branches, prompt, make.tokenizer(), methods, {});
  ASSERT_EQ(all.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    const auto alone = ask_needle(branches, prompt, make.tokenizer(), {&methods[i], 1}, {});
    EXPECT_EQ(alone.front().text, all[i].text);
    EXPECT_EQ(alone.front().rows.read, all[i].rows.read);
  }
  EXPECT_EQ(all[0].rows.read, all[0].rows.total);
  EXPECT_LT(all[1].rows.share(), 0.8);
  // The first step of an answer is a decode step too.
  EXPECT_GE(all[0].rows.total, 2 * 400 * c.attention().n_kv_heads * c.n_layers());
}

}  // namespace
}  // namespace tidal::test
