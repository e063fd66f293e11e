#include "server/call.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "server/call_fields.h"

namespace tidal::server {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;

GenerateCall read(const json& body, Dialect dialect = Dialect::kChat) {
  return read_call(dialect, body, Options{});
}

// Of a body that is refused: the field at fault.
std::string fault(const json& body, Dialect dialect = Dialect::kChat) {
  try {
    read(body, dialect);
  } catch (const ApiError& error) {
    EXPECT_EQ(error.status, 400) << body;
    return error.param;
  }
  ADD_FAILURE() << body << " was taken";
  return {};
}

TEST(Call, TakesTheOptionsOfTheTable) {
  const GenerateCall call = read({{"temperature", 0.5},
                                  {"top_k", 7},
                                  {"max_tokens", 9},
                                  {"min_tokens", 2},
                                  {"stop", {"a", "", "b"}},
                                  {"ignore_eos", true},
                                  {"seed", 3}});
  EXPECT_FLOAT_EQ(call.options.sampling.temperature, 0.5F);
  EXPECT_EQ(call.options.sampling.top_k, 7);
  EXPECT_EQ(call.options.max_tokens, 9);
  EXPECT_EQ(call.options.min_tokens, 2);
  EXPECT_THAT(call.options.stop, ElementsAre("a", "b"));
  EXPECT_TRUE(call.options.ignore_eos);
  EXPECT_EQ(call.options.sampling.seed, 3U);
}

TEST(Call, TakesOtherServersNames) {
  EXPECT_EQ(read({{"max_completion_tokens", 5}}).options.max_tokens, 5);
  EXPECT_EQ(read({{"n_predict", -1}}).options.max_tokens, -1);
  EXPECT_THAT(read({{"stop_sequences", "x"}}).options.stop, ElementsAre("x"));
  EXPECT_EQ(read({{"n_probs", 4}}, Dialect::kLlama).logprobs, 4);
}

TEST(Call, NullIsNoValue) {
  const GenerateCall call = read({{"temperature", nullptr}, {"n", nullptr}, {"stop", nullptr}});
  EXPECT_FLOAT_EQ(call.options.sampling.temperature, SamplingOptions{}.temperature);
  EXPECT_EQ(call.n, 1);
}

TEST(Call, NumbersAreCheckedAtTheEdge) {
  for (const json& value : {json(-1), json(1e300), json("1"), json(true), json::array()}) {
    EXPECT_EQ(fault({{"temperature", value}}), "temperature");
  }
  for (const json& value : {json(0), json(17), json(1.5), json(UINT64_MAX), json(INT64_MIN)}) {
    EXPECT_EQ(fault({{"n", value}}), "n");
  }
  EXPECT_EQ(fault({{"max_tokens", int64_t{1} << 40}}), "max_tokens");
  EXPECT_EQ(fault({{"top_logprobs", 21}}), "top_logprobs");
  EXPECT_EQ(fault({{"n_probs", 101}}, Dialect::kLlama), "n_probs");
  EXPECT_EQ(fault({{"id_slot", -2}}), "id_slot");
  EXPECT_EQ(fault({{"stop_token_ids", {int64_t{1} << 40}}}), "stop_token_ids");
  EXPECT_EQ(fault({{"stream", 1}}), "stream");
}

TEST(Call, WholeFloatsAreIntegersForOptions) {
  EXPECT_EQ(read({{"max_tokens", 8.0}}).options.max_tokens, 8);
  EXPECT_EQ(fault({{"max_tokens", 8.5}}), "max_tokens");
}

TEST(Call, SeedsBelowZeroAreRandom) {
  EXPECT_NE(read({{"seed", -1}}).options.sampling.seed, read({{"seed", -1}}).options.sampling.seed);
  Options any;
  any.sampling.seed = kAnySeed;
  const auto seed = [&] {
    return read_call(Dialect::kChat, json::object(), any).options.sampling.seed;
  };
  EXPECT_NE(seed(), seed());
  EXPECT_EQ(read({{"seed", INT64_MIN + 5}}).options.sampling.seed, 5U);
}

TEST(Call, NoTokensReadsThePromptOnly) {
  EXPECT_TRUE(read({{"max_tokens", 0}}).only_prompt);
  EXPECT_FALSE(read({{"max_tokens", 1}}).only_prompt);
}

TEST(Call, TidalTakesTheMethodAndNothingElse) {
  const GenerateCall call =
      read({{"tidal", {{"method", "quest"}, {"budget", 256}, {"min_context", 0}}}});
  EXPECT_EQ(call.options.method.name, "quest");
  EXPECT_EQ(call.options.method.budget, "256");
  EXPECT_EQ(call.options.method.min_context, 0);
  EXPECT_EQ(fault({{"tidal", {{"budgets", 1}}}}), "tidal.budgets");
  EXPECT_EQ(fault({{"tidal", {{"temperature", 1}}}}), "tidal.temperature");
  EXPECT_EQ(fault({{"tidal", {{"method", "x"}}}}), "tidal.method");
  EXPECT_EQ(fault({{"tidal", 1}}), "tidal");
}

TEST(Call, StopsAreBounded) {
  EXPECT_EQ(fault({{"stop", json::array_t(17, "x")}}), "stop");
  EXPECT_EQ(fault({{"stop", std::string(1025, 'x')}}), "stop");
  EXPECT_EQ(fault({{"stop", {1}}}), "stop");
}

TEST(Call, LogitBiasHasFourForms) {
  const GenerateCall pairs = read({{"logit_bias", {{5, -100}, {" the", false}}}});
  ASSERT_EQ(pairs.logit_bias.size(), 2U);
  EXPECT_EQ(std::get<int32_t>(pairs.logit_bias[0].token), 5);
  EXPECT_FLOAT_EQ(pairs.logit_bias[0].bias, -100);
  EXPECT_EQ(std::get<std::string>(pairs.logit_bias[1].token), " the");
  EXPECT_TRUE(std::isinf(pairs.logit_bias[1].bias));
  const GenerateCall map = read({{"logit_bias", {{"5", 1}, {"x", 2}}}});
  EXPECT_EQ(std::get<int32_t>(map.logit_bias[0].token), 5);
  EXPECT_EQ(std::get<std::string>(map.logit_bias[1].token), "x");
  EXPECT_EQ(fault({{"logit_bias", {{1, 2, 3}}}}), "logit_bias");
  EXPECT_EQ(fault({{"logit_bias", {{-1, 2}}}}), "logit_bias");
  EXPECT_EQ(fault({{"logit_bias", 7}}), "logit_bias");
}

TEST(Call, LogprobsAreASwitchInChatAndACountInCompletions) {
  EXPECT_EQ(read({{"logprobs", true}}).logprobs, 0);
  EXPECT_EQ(read({{"logprobs", true}, {"top_logprobs", 3}}).logprobs, 3);
  EXPECT_EQ(read({{"logprobs", 2}}, Dialect::kCompletions).logprobs, 2);
  EXPECT_EQ(fault({{"logprobs", 2}}), "logprobs");
}

TEST(Call, FormatsOfTheAnswerAreGrammars) {
  const json schema = {{"const", "42"}};
  for (const json& body :
       {json({{"json_schema", schema}}), json({{"guided_json", schema}}),
        json({{"response_format", {{"type", "json_object"}, {"schema", schema}}}}),
        json({{"response_format",
               {{"type", "json_schema"}, {"json_schema", {{"schema", schema}}}}}}),
        json(
            {{"text", {{"format", {{"type", "json_schema"}, {"name", "n"}, {"schema", schema}}}}}}),
        json({{"output_config", {{"format", {{"type", "json_schema"}, {"schema", schema}}}}}})}) {
    const GrammarOptions grammar = read(body).grammar;
    EXPECT_EQ(grammar.kind, GrammarKind::kJsonSchema) << body;
    EXPECT_EQ(grammar.text, schema.dump());
  }
  const json old = {{"items", {{{"type", "integer"}}}}, {"enum", {{{"items", {1}}}}}};
  EXPECT_EQ(json::parse(read({{"json_schema", old}}).grammar.text),
            json({{"prefixItems", {{{"type", "integer"}}}}, {"enum", {{{"items", {1}}}}}}));
  const char* ordered = R"({"properties":{"why":{},"answer":{}},"required":["why"]})";
  EXPECT_EQ(read_call(Dialect::kChat, parse_body(fmt::format(R"({{"json_schema":{}}})", ordered)),
                      Options{})
                .grammar.text,
            ordered);
  EXPECT_EQ(read({{"response_format", {{"type", "json_object"}}}}).grammar.kind,
            GrammarKind::kJsonObject);
  EXPECT_EQ(read({{"response_format", {{"type", "text"}}}}).grammar.kind, GrammarKind::kNone);
  EXPECT_EQ(read({{"grammar", "root ::= x"}}).grammar.kind, GrammarKind::kEbnf);
  EXPECT_EQ(read({{"guided_regex", "a+"}}).grammar.kind, GrammarKind::kRegex);
  EXPECT_EQ(fault({{"response_format", {{"type", "sound"}}}}), "response_format");
  EXPECT_EQ(fault({{"json_schema", 123}}), "json_schema");
  EXPECT_EQ(fault({{"grammar", std::string((256 << 10) + 1, 'x')}}), "grammar");
}

TEST(Call, BestOfHoldsN) {
  EXPECT_EQ(fault({{"n", 3}, {"best_of", 2}}), "best_of");
  EXPECT_EQ(fault({{"best_of", 2}, {"stream", true}}), "best_of");
}

TEST(Prompts, TakeEveryForm) {
  bool several = true;
  EXPECT_EQ(read_prompts("a", &several).size(), 1U);
  EXPECT_FALSE(several);
  EXPECT_EQ(read_prompts({1, 2, 3}, &several), (std::vector<PromptParts>{{1, 2, 3}}));
  EXPECT_FALSE(several);
  EXPECT_EQ(read_prompts({1, "a", 2}, &several), (std::vector<PromptParts>{{1, "a", 2}}));
  EXPECT_FALSE(several);
  EXPECT_EQ(read_prompts({"a", "b"}, &several), (std::vector<PromptParts>{{"a"}, {"b"}}));
  EXPECT_TRUE(several);
  EXPECT_EQ(read_prompts({{1, 2}, "b", {{"prompt_string", "c"}}}, &several),
            (std::vector<PromptParts>{{1, 2}, {"b"}, {"c"}}));
  EXPECT_TRUE(several);
  EXPECT_EQ(read_prompts({{"prompt_string", "c"}}, &several), (std::vector<PromptParts>{{"c"}}));
}

TEST(Prompts, RefuseWhatIsNone) {
  bool several = false;
  for (const json& prompt :
       {json(nullptr), json(-1), json::array(), json({1, -2}), json({{1, 1.5}}), json({true}),
        json({{"prompt_string", 1}}), json::object(), json({{int64_t{1} << 33}}),
        json({{"prompt_string", "x"}, {"multimodal_data", {"y"}}})}) {
    EXPECT_THROW(read_prompts(prompt, &several), ApiError) << prompt;
  }
}

TEST(Body, HasToBeAnObjectOfBoundedDepth) {
  EXPECT_TRUE(parse_body("").empty());
  for (const char* text : {"[]", "1", "{", "{\"a\":1e999}", "\xff", "nul"}) {
    EXPECT_THROW(parse_body(text), ApiError) << text;
  }
  const std::string deep = "{\"a\":" + std::string(100, '[') + std::string(100, ']') + "}";
  EXPECT_THROW(parse_body(deep), ApiError);
}

TEST(Errors, NameTheFieldAndTheType) {
  const Error bad(ErrorCode::kInvalidArgument, "`top_k` is bad", "top_k");
  const Json error = error_json(api_error(bad))["error"];
  EXPECT_EQ(error["code"], 400);
  EXPECT_EQ(error["message"], "'top_k' is bad");
  EXPECT_EQ(error["type"], "invalid_request_error");
  EXPECT_EQ(error["param"], "top_k");
  EXPECT_EQ(api_error(Error(ErrorCode::kExhausted, "full")).status, 429);
  EXPECT_EQ(api_error(Error(ErrorCode::kUnsupported, "no")).status, 501);
  EXPECT_EQ(api_error(std::runtime_error("x")).status, 500);
}

}  // namespace
}  // namespace tidal::server
