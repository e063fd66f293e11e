#include "eval/probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/model.h"
#include "runtime/model_text.h"
#include "testing/paths.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using testing::HasSubstr;

class ProbeTest : public testing::Test {
 protected:
  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
  Tokenizer tokenizer_ = load_tokenizer(*model_);
  std::optional<ChatTemplate> chat_template_ = load_chat_template(*model_, tokenizer_);
  Asker asker_{tokenizer_, chat_template_};

  std::vector<TokenId> text() const {
    std::string words;
    for (int i = 0; i < 300; ++i) words += "word" + std::to_string(i * i % 89) + " ";
    return tokenizer_.encode(words, false, false);
  }
  std::string all(const Probe& probe, size_t question) const {
    std::vector<TokenId> ids = probe.context;
    const Question& asked = probe.questions[question];
    ids.insert(ids.end(), asked.prompt.begin(), asked.prompt.end());
    ids.insert(ids.end(), asked.answer.begin(), asked.answer.end());
    return tokenizer_.decode(ids);
  }
};

TEST_F(ProbeTest, ProseAsksForTheNextWords) {
  const std::vector<TokenId> ids = {5, 6, 7, 8, 9};
  const Probe probe = prose_probe(ids, 2);
  EXPECT_EQ(probe.context, (std::vector<TokenId>{5, 6}));
  ASSERT_EQ(probe.questions.size(), 1u);
  EXPECT_EQ(probe.questions[0].prompt, (std::vector<TokenId>{7}));
  EXPECT_EQ(probe.questions[0].answer, (std::vector<TokenId>{8, 9}));
  EXPECT_EQ(probe.max_length(), 5);
}

TEST_F(ProbeTest, EveryAnswerStandsInTheContext) {
  const Probe probe = retrieval_probe(asker_, text(), 3);
  ASSERT_EQ(probe.questions.size(), 6u);
  const std::string context = tokenizer_.decode(probe.context);
  EXPECT_THAT(context, HasSubstr("The secret passkey is "));
  for (size_t i = 0; i < probe.questions.size(); ++i) {
    const Question& question = probe.questions[i];
    ASSERT_FALSE(question.prompt.empty());
    const std::string answer = tokenizer_.decode(question.answer);
    EXPECT_GE(answer.size(), 5u);
    // A sentence ends with a full stop, a passage does not.
    const std::string words = answer.substr(0, answer.find('.'));
    EXPECT_THAT(context, HasSubstr(words));
    EXPECT_THAT(all(probe, i), testing::EndsWith(answer));
  }
}

TEST_F(ProbeTest, QuestionsBeginWhereTheyDiffer) {
  const Probe probe = retrieval_probe(asker_, text(), 3);
  bool differ = false;
  for (const Question& question : probe.questions) {
    differ = differ || question.prompt.front() != probe.questions[0].prompt.front();
  }
  EXPECT_TRUE(differ);
}

TEST_F(ProbeTest, TheSeedDecides) {
  const Probe a = retrieval_probe(asker_, text(), 3);
  const Probe b = retrieval_probe(asker_, text(), 3);
  const Probe c = retrieval_probe(asker_, text(), 4);
  EXPECT_EQ(a.context, b.context);
  EXPECT_EQ(a.questions[4].answer, b.questions[4].answer);
  EXPECT_NE(a.context, c.context);
}

TEST_F(ProbeTest, TooFewWordsIsAnError) {
  const auto few = tokenizer_.encode("only a few words", false, false);
  EXPECT_THROW(retrieval_probe(asker_, few, 1), Error);
  EXPECT_THROW(retrieval_probe(asker_, tokenizer_.encode(std::string(900, 'x'), false, false), 1),
               Error);
}

TEST_F(ProbeTest, ReadsAUsersPrompts) {
  const auto probes = read_probes(
      asker_,
      "{\"prompt\": \"one two\", \"answer\": \"two\"}\n\n{\"prompt\":\"a\",\"answer\":\"b\"}",
      "p.jsonl");
  ASSERT_EQ(probes.size(), 2u);
  EXPECT_THAT(all(probes[0], 0), HasSubstr("one two"));
  EXPECT_EQ(tokenizer_.decode(probes[0].questions[0].answer), "two");
}

TEST_F(ProbeTest, NamesTheLineThatIsNoPrompt) {
  for (const char* bad :
       {"\n[]", "\n{", "\n{\"prompt\": \"a\"}", "\n{\"prompt\": 1, \"answer\": 2}",
        "\n{\"prompt\": \"a\", \"answer\": \"\"}"}) {
    try {
      read_probes(asker_, bad, "p.jsonl");
      FAIL() << bad;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kInvalidArgument);
      EXPECT_THAT(error.what(), HasSubstr("p.jsonl line 2"));
    }
  }
}

}  // namespace
}  // namespace tidal::test
