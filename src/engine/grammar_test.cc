#include "engine/grammar.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <nlohmann/json.hpp>

#include "engine/engine_model.h"
#include "engine/engine_test_util.h"
#include "runtime/model_text.h"
#include "testing/error.h"

namespace tidal::test {
namespace {

using Json = nlohmann::json;

class GrammarTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!GrammarCompiler::is_built_in()) GTEST_SKIP() << "built without xgrammar";
  }

  int32_t byte(char c) const {
    const std::vector<TokenId> ids = tokenizer_.encode({&c, 1}, false, false);
    return ids.back();
  }
  // What may come, the end as '$'.
  std::string next(GrammarMatcher& matcher) const {
    const std::span<const uint32_t> mask = matcher.mask();
    std::string text, ends;
    for (TokenId id = 0; id < tokenizer_.vocab_size(); ++id) {
      const bool in = (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
      if (in && !tokenizer_.is_end_of_generation(id)) text += tokenizer_.piece(id);
      if (in && tokenizer_.is_end_of_generation(id)) ends = "$";
    }
    return ends + text;
  }

  Tokenizer tokenizer_ = load_tokenizer(data_path("tiny-llama.gguf"));
  GrammarCompiler compiler_{tokenizer_, 259};
};

TEST_F(GrammarTest, MaskFollowsTheAnswer) {
  GrammarMatcher matcher(compiler_.compile({GrammarKind::kRegex, "a(b|c)+"}));
  EXPECT_EQ(next(matcher), "a");
  EXPECT_FALSE(matcher.may_end());
  EXPECT_FALSE(matcher.accept(byte('b')));
  EXPECT_TRUE(matcher.accept(byte('a')));
  EXPECT_EQ(next(matcher), "bc");
  EXPECT_TRUE(matcher.accept(byte('c')));
  EXPECT_TRUE(matcher.may_end());
  EXPECT_EQ(next(matcher), "$bc");
  matcher.rollback(2);
  EXPECT_EQ(next(matcher), "a");
}

TEST_F(GrammarTest, RulesAreLlamaCpps) {
  GrammarMatcher matcher(compiler_.compile(
      {GrammarKind::kEbnf, "# a move\nroot ::= \"e\" [2-4]{1,2} tail?\ntail ::= \"+\" | \"#\"\n"}));
  for (const char c : {'e', '4', '3'}) EXPECT_TRUE(matcher.accept(byte(c))) << c;
  EXPECT_EQ(next(matcher), "$#+");
}

TEST_F(GrammarTest, TagsLeaveTheRestFree) {
  GrammarMatcher matcher(compiler_.compile(
      {GrammarKind::kStructuralTag,
       R"({"type": "structural_tag", "format": {"type": "triggered_tags", "triggers": ["<f>"],
           "tags": [{"begin": "<f>", "content": {"type": "regex", "pattern": "x"}, "end": "</f>"}]}})"}));
  for (const char c : {'h', 'i', '<', 'f', '>'}) EXPECT_TRUE(matcher.accept(byte(c))) << c;
  EXPECT_EQ(next(matcher), "x");
}

TEST_F(GrammarTest, WhiteSpaceInJsonEnds) {
  const std::string schema = R"({"type": "object", "properties": {"a": {}}, "required": ["a"]})";
  const std::string tag =
      R"({"type": "structural_tag", "format": {"type": "json_schema", "json_schema": )" + schema +
      "}}";
  for (const GrammarOptions& grammar : {GrammarOptions{GrammarKind::kJsonSchema, schema},
                                        GrammarOptions{GrammarKind::kJsonObject, {}},
                                        GrammarOptions{GrammarKind::kStructuralTag, tag}}) {
    GrammarMatcher matcher(compiler_.compile(grammar));
    for (const char* before : {"{", "\"a\"", ":", "[", "1", ","}) {
      SCOPED_TRACE(before);
      for (const char* c = before; *c != '\0'; ++c) ASSERT_TRUE(matcher.accept(byte(*c)));
      for (int i = 0; i < 20; ++i) ASSERT_TRUE(matcher.accept(byte(i % 2 == 0 ? ' ' : '\n'))) << i;
      for (const char space : {' ', '\n', '\t', '\r'}) EXPECT_FALSE(matcher.accept(byte(space)));
    }
  }
}

TEST_F(GrammarTest, TagsMayHoldToWhatIsPossible) {
  const auto compile = [&](const std::string& more) {
    return compiler_.compile(
        {GrammarKind::kStructuralTag,
         R"({"type": "structural_tag", "format": {"type": "json_schema", "json_schema": )"
         R"({"type": "array", "items": {"type": "integer"}, "uniqueItems": true})" +
             more + "}}"});
  };
  EXPECT_THROW(compile(""), Error);
  EXPECT_THROW(compile(R"(, "strict": true)"), Error);
  GrammarMatcher matcher(compile(R"(, "strict": false)"));
  EXPECT_TRUE(matcher.accept(byte('[')));
  EXPECT_FALSE(matcher.accept(byte('"')));
}

// As xgrammar alone does not: bounded ones would have them as they are.
TEST_F(GrammarTest, ControlCharactersInJsonStringsAreEscaped) {
  GrammarMatcher matcher(compiler_.compile(
      {GrammarKind::kJsonSchema, R"({"type": "string", "minLength": 1, "maxLength": 5})"}));
  EXPECT_TRUE(matcher.accept(byte('"')));
  for (int c = 0; c < 0x20; ++c) EXPECT_FALSE(matcher.accept(byte(static_cast<char>(c)))) << c;
  EXPECT_TRUE(matcher.accept(byte(' ')));
}

TEST_F(GrammarTest, KeepsWhatWasCompiled) {
  const GrammarOptions options{GrammarKind::kJsonObject, {}};
  EXPECT_EQ(compiler_.compile(options), compiler_.compile(options));
}

TEST_F(GrammarTest, RefusesWhatIsNoGrammar) {
  const auto refused = [&](GrammarKind kind, const std::string& text, const std::string& part) {
    SCOPED_TRACE(text.substr(0, 40));
    try {
      compiler_.compile({kind, text});
      ADD_FAILURE() << "no error";
    } catch (const Error& error) {
      EXPECT_THAT(error.what(), testing::HasSubstr(part));
      EXPECT_LT(std::string(error.what()).size(), 600U);
    }
  };
  refused(GrammarKind::kJsonSchema, "{", "JSON schema");
  refused(GrammarKind::kJsonSchema, R"({"type": "no such type"})",
          "the JSON schema cannot be used: Unsupported type");
  refused(GrammarKind::kJsonSchema, R"({"allOf": [{}, {}]})", "'allOf'");
  refused(GrammarKind::kStructuralTag,
          R"({"type": "structural_tag", "format": {"type": "sequence", "elements":
              [{"type": "json_schema", "json_schema": {"not": {}}}]}})",
          "'not'");
  refused(GrammarKind::kRegex, "(a", "the regular expression cannot be used");
  refused(GrammarKind::kEbnf, "root ::= other", "the grammar cannot be used");
  refused(GrammarKind::kEbnf, "", "the grammar cannot be used");
  refused(GrammarKind::kStructuralTag, "{}", "the structural tag cannot be used");
  refused(GrammarKind::kRegex, std::string(300 << 10, 'a'), "give at most 262144");
  refused(GrammarKind::kRegex, std::string(201, '('), "more than 200 brackets");
  refused(GrammarKind::kJsonSchema, std::string(100, '['), "deep");
}

std::string repeated(const std::string& text, int n) {
  std::string all;
  for (int i = 0; i < n; ++i) all += text;
  return all;
}

std::vector<GrammarOptions> hostile_grammars() {
  std::string chain = "root ::= r0\n";
  for (int i = 0; i < 8000; ++i) chain += fmt::format("r{} ::= r{}\n", i, i + 1);
  chain += "r8000 ::= \"a\"\n";
  std::string doubling = "root ::= r0\n";
  for (int i = 0; i < 40; ++i) doubling += fmt::format("r{0} ::= r{1} r{1}\n", i, i + 1);
  doubling += "r40 ::= \"a\" | \"\"\n";
  std::string properties = R"("p":{})";
  for (int i = 0; i < 2000; ++i) properties += fmt::format(R"(,"p{}":{{"type":"string"}})", i);
  return {
      {GrammarKind::kEbnf, chain},
      {GrammarKind::kEbnf, doubling},
      {GrammarKind::kEbnf, "root ::= root"},
      {GrammarKind::kEbnf, "root ::= root root | \"a\" | \"\""},
      {GrammarKind::kEbnf, "root ::= \"a\"{1000000000}"},
      {GrammarKind::kEbnf, "root ::= ((((\"a\"{1,1000}){1,1000}){1,1000}){1,1000}){1,1000}"},
      {GrammarKind::kEbnf, repeated("root ::= \"a\" | ", 10000) + "\"b\""},
      {GrammarKind::kEbnf, "root ::= " + repeated("(", 199) + "\"a\"" + repeated(")*", 199)},
      {GrammarKind::kRegex, repeated("(a*)*", 5000)},
      {GrammarKind::kRegex, "(((a{1,1000}){1,1000}){1,1000}){1,1000}"},
      {GrammarKind::kRegex, "(a|b)*a" + repeated("(a|b)", 40)},
      {GrammarKind::kRegex, repeated("a?", 20000) + repeated("a", 20000)},
      {GrammarKind::kJsonSchema, R"({"$ref": "#"})"},
      {GrammarKind::kJsonSchema, R"({"type":"string","minLength":1000000000})"},
      {GrammarKind::kJsonSchema, R"({"type":"string","maxLength":2147483647})"},
      {GrammarKind::kJsonSchema, R"({"type":"array","minItems":100000000})"},
      {GrammarKind::kJsonSchema, R"({"type":"integer","minimum":-9e99,"maximum":9e99})"},
      {GrammarKind::kJsonSchema, R"({"type":"object","properties":{)" + properties + "}}"},
      {GrammarKind::kJsonSchema, R"({"allOf":[{"$ref":"#"},{"$ref":"#"}]})"},
      {GrammarKind::kJsonSchema,
       R"({"anyOf":[{"type":"array","items":{"$ref":"#"}},{"$ref":"#"},{"$ref":"#"}]})"},
  };
}

// Whatever comes, it ends in time: compiled and a hundred tokens matched, or an error.
TEST_F(GrammarTest, HostileGrammarsEndInTime) {
  for (const GrammarOptions& grammar : hostile_grammars()) {
    SCOPED_TRACE(grammar.text.substr(0, 60));
    const auto start = std::chrono::steady_clock::now();
    GrammarCompiler compiler(tokenizer_, 259);
    try {
      GrammarMatcher matcher(compiler.compile(grammar));
      for (int i = 0; i < 100; ++i) {
        const std::span<const uint32_t> mask = matcher.mask();
        TokenId token = 258;
        while (token > 2 && (mask[static_cast<size_t>(token) / 32] >> (token % 32) & 1) == 0)
          --token;
        if (token <= 2 || !matcher.accept(token)) break;
      }
    } catch (const Error& error) {
      EXPECT_FALSE(std::string(error.what()).empty());
    }
    const std::chrono::duration<double> spent = std::chrono::steady_clock::now() - start;
    EXPECT_LT(spent.count(), 4);
  }
}

Request constrained(const Engine& engine, GrammarOptions grammar, uint64_t seed = 0) {
  Request request = make_request(engine, "Once upon a time", "full");
  request.sampling = {.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0, .seed = seed};
  request.max_tokens = 400;
  request.ignore_eos = false;
  request.grammar = std::move(grammar);
  return request;
}

TEST_F(GrammarTest, AnswersKeepToASchema) {
  Engine engine(options());
  const std::string schema =
      R"({"type": "object", "properties": {"colour": {"enum": ["red", "blue"]},
      "count": {"type": "integer", "minimum": 1, "maximum": 20}, "on": {"type": "boolean"}},
      "required": ["colour", "count", "on"], "additionalProperties": false})";
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Completion completion =
        engine.run(constrained(engine, {GrammarKind::kJsonSchema, schema}, seed));
    ASSERT_EQ(completion.finish_reason, FinishReason::kStop) << completion.text << completion.error;
    const Json answer = Json::parse(completion.text);
    EXPECT_TRUE(answer.at("colour") == "red" || answer.at("colour") == "blue");
    EXPECT_GE(answer.at("count").get<int>(), 1);
    EXPECT_LE(answer.at("count").get<int>(), 20);
    EXPECT_TRUE(answer.at("on").is_boolean());
    EXPECT_EQ(answer.size(), 3U);
  }
}

TEST_F(GrammarTest, AnswersKeepToAnExpressionToItsEnd) {
  Engine engine(options());
  for (const bool ignore_eos : {false, true}) {
    Request request = constrained(engine, {GrammarKind::kRegex, "[0-9]{3}-[a-c]{2}"});
    request.ignore_eos = ignore_eos;
    const Completion completion = engine.run(std::move(request));
    EXPECT_EQ(completion.finish_reason, FinishReason::kStop);
    EXPECT_THAT(completion.text, testing::MatchesRegex("[0-9]{3}-[a-c]{2}")) << completion.text;
  }
}

TEST_F(GrammarTest, TheEndOfAGrammarComesBeforeMinTokens) {
  Engine engine(options());
  Request request = constrained(engine, {GrammarKind::kRegex, "a{3}b*"});
  request.sampling.logit_bias = {{engine.info().eos, 1000.0F}};
  request.min_tokens = 5;
  Completion completion = engine.run(Request(request));
  EXPECT_EQ(completion.text, "aaabb") << "while it may go on, it does";
  request.grammar.text = "a{3}";
  completion = engine.run(std::move(request));
  EXPECT_EQ(completion.finish_reason, FinishReason::kStop);
  EXPECT_EQ(completion.text, "aaa");
}

TEST_F(GrammarTest, ObjectsBeginWithABrace) {
  Engine engine(options());
  Request request = constrained(engine, {GrammarKind::kJsonObject, {}});
  request.max_tokens = 30;
  const Completion completion = engine.run(std::move(request));
  EXPECT_EQ(completion.text.find_first_not_of(" \n\t"), completion.text.find('{'))
      << completion.text;
}

TEST_F(GrammarTest, WhatRulesOutEverythingEndsTheRequest) {
  Engine engine(options());
  Request request = constrained(engine, {GrammarKind::kRegex, "a"});
  request.sampling.logit_bias = {{byte('a'), -std::numeric_limits<float>::infinity()}};
  const Completion completion = engine.run(std::move(request));
  EXPECT_EQ(completion.finish_reason, FinishReason::kError);
  EXPECT_THAT(completion.error, testing::HasSubstr("the grammar or `logit_bias`"));
}

TEST(Grammar, AreRefusedWithoutXgrammar) {
  if (GrammarCompiler::is_built_in()) GTEST_SKIP() << "built with xgrammar";
  Engine engine(options());
  expect_error(ErrorCode::kUnsupported, {"built without xgrammar", "scripts/get-xgrammar"}, [&] {
    engine.submit(constrained(engine, {GrammarKind::kRegex, "a"}));
  });
}

}  // namespace
}  // namespace tidal::test
