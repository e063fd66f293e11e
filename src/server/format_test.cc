#include "server/format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tidal::server {
namespace {

using testing::ElementsAre;

ReplyInfo info() {
  return {.id = "ID", .created = 7, .model = "m", .piece = [](int32_t) { return std::string(); }};
}

Answer answer_of(const std::string& text, FinishReason reason = FinishReason::kStop) {
  Answer answer;
  answer.text = text;
  answer.echo_text = "prompt ";
  answer.progress.prompt_tokens = 10;
  answer.progress.cached_tokens = 4;
  answer.progress.read_tokens = 10;
  answer.progress.generated = 3;
  answer.completion.emplace();
  answer.completion->finish_reason = reason;
  answer.completion->method = "tidal";
  answer.completion->rows = {10, 40};
  return answer;
}

GenerateCall call_of(Dialect dialect) {
  GenerateCall call;
  call.dialect = dialect;
  return call;
}

// The data of the events in a text; what is no JSON as a string.
std::vector<Json> events(const std::string& text) {
  std::vector<Json> result;
  for (size_t at = text.find("data: "); at != std::string::npos; at = text.find("data: ", at)) {
    const size_t end = text.find("\n\n", at);
    const std::string data = text.substr(at + 6, end - at - 6);
    result.push_back(data == "[DONE]" ? Json(data) : Json::parse(data));
    at = end;
  }
  return result;
}

Piece text_piece(const std::string& text) {
  Piece piece;
  piece.text = text;
  return piece;
}

Piece reasoning_piece(const std::string& text) {
  Piece piece;
  piece.reasoning = text;
  return piece;
}

Piece tool_piece(const std::string& id, const std::string& name, const std::string& arguments) {
  Piece piece;
  piece.tools = {{0, id, name, arguments}};
  return piece;
}

// A whole stream: reasoning, two pieces of text, a tool call in two pieces.
std::vector<Json> stream(const GenerateCall& call) {
  const auto format = make_format(call, info());
  Answer answer = answer_of("");
  std::string text = format->progress(answer);
  for (const Piece& piece : {reasoning_piece("hm"), text_piece("Hel"), text_piece("lo"),
                             tool_piece("c1", "f", ""), tool_piece("", "", "{\"a\":1}")}) {
    text += format->piece(answer, piece);
  }
  answer.reasoning = "hm";
  answer.text = "Hello";
  answer.tools = {{0, "c1", "f", "{\"a\":1}"}};
  text += format->finish(answer);
  text += format->end({&answer, 1});
  return events(text);
}

std::vector<std::string> types(const std::vector<Json>& events) {
  std::vector<std::string> names;
  for (const Json& event : events) names.push_back(event["type"]);
  return names;
}

TEST(ChatFormat, WholeReply) {
  const GenerateCall call = call_of(Dialect::kChat);
  const Answer answer = answer_of("Hello", FinishReason::kLength);
  const Json reply = make_format(call, info())->whole({&answer, 1});
  EXPECT_EQ(reply["id"], "chatcmpl-ID");
  EXPECT_EQ(reply["object"], "chat.completion");
  EXPECT_EQ(reply["choices"][0]["message"]["content"], "Hello");
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(reply["usage"]["prompt_tokens"], 10);
  EXPECT_EQ(reply["usage"]["total_tokens"], 13);
  EXPECT_EQ(reply["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
  EXPECT_EQ(reply["timings"]["rows_total"], 0);
  EXPECT_EQ(reply["tidal"]["rows_share"], 0.25);
  EXPECT_FALSE(reply["tidal"].contains("note"));
}

TEST(ChatFormat, SaysWhyEverythingWasRead) {
  const GenerateCall call = call_of(Dialect::kChat);
  Answer answer = answer_of("Hello");
  answer.completion->rows = {40, 40};
  EXPECT_TRUE(make_format(call, info())->whole({&answer, 1})["tidal"].contains("note"));
  answer.completion->method = "full";
  EXPECT_FALSE(make_format(call, info())->whole({&answer, 1})["tidal"].contains("note"));
}

TEST(ChatFormat, StreamBeginsWithTheRoleAndEndsWithTheReason) {
  GenerateCall call = call_of(Dialect::kChat);
  call.include_usage = true;
  const std::vector<Json> all = stream(call);
  ASSERT_EQ(all.size(), 9U);
  const auto delta = [&](size_t i) { return all[i]["choices"][0]["delta"]; };
  EXPECT_EQ(delta(0), Json({{"role", "assistant"}, {"content", nullptr}}));
  EXPECT_EQ(delta(1), Json({{"reasoning_content", "hm"}}));
  EXPECT_EQ(delta(2), Json({{"content", "Hel"}}));
  EXPECT_EQ(delta(4)["tool_calls"][0]["id"], "c1");
  EXPECT_EQ(delta(4)["tool_calls"][0]["type"], "function");
  EXPECT_EQ(delta(4)["tool_calls"][0]["function"]["name"], "f");
  EXPECT_FALSE(delta(5)["tool_calls"][0].contains("id"));
  EXPECT_EQ(delta(5)["tool_calls"][0]["index"], 0);
  EXPECT_EQ(delta(6), Json::object());
  EXPECT_EQ(all[6]["choices"][0]["finish_reason"], "tool_calls");
  EXPECT_TRUE(all[7]["choices"].empty());
  EXPECT_EQ(all[7]["usage"]["completion_tokens"], 3);
  EXPECT_EQ(all[8], "[DONE]");
  for (size_t i = 0; i < 8; ++i) EXPECT_EQ(all[i]["id"], "chatcmpl-ID");
}

TEST(CompletionsFormat, EchoStandsInFront) {
  GenerateCall call = call_of(Dialect::kCompletions);
  call.echo = true;
  const Answer answer = answer_of("Hello");
  EXPECT_EQ(make_format(call, info())->whole({&answer, 1})["choices"][0]["text"], "prompt Hello");
  const auto format = make_format(call, info());
  std::string text = format->piece(answer, text_piece("Hel"));
  text += format->piece(answer, text_piece("lo"));
  const std::vector<Json> all = events(text);
  EXPECT_EQ(all[0]["choices"][0]["text"], "prompt Hel");
  EXPECT_EQ(all[1]["choices"][0]["text"], "lo");
}

TEST(CompletionsFormat, EchoedTokensHaveLogprobsInStreamsToo) {
  GenerateCall call = call_of(Dialect::kCompletions);
  call.echo = true;
  call.logprobs = 0;
  ReplyInfo named = info();
  named.piece = [](int32_t token) { return std::string(static_cast<size_t>(token), 'x'); };
  Answer answer = answer_of("");
  answer.prompt_tokens = {3, 2};
  answer.prompt_logprobs = {{{2, -0.5F}, {}}};
  const auto logprobs = [](const Json& event) { return event["choices"][0]["logprobs"]; };
  const auto format = make_format(call, named);
  Piece piece = text_piece("x");
  piece.logprobs = {{{1, -0.25F}, {}}};
  std::string text = format->piece(answer, piece);
  text += format->piece(answer, piece);
  text += format->finish(answer);
  const std::vector<Json> all = events(text);
  EXPECT_EQ(logprobs(all[0])["token_logprobs"], Json({nullptr, -0.5, -0.25}));
  EXPECT_EQ(logprobs(all[0])["text_offset"], Json({0, 3, 5}));
  EXPECT_EQ(logprobs(all[1])["text_offset"], Json({6}));
  EXPECT_EQ(logprobs(all[2]), Json());
  const std::vector<Json> only = events(make_format(call, named)->finish(answer));
  EXPECT_EQ(logprobs(only[0])["tokens"].size(), 2U) << "nothing was generated";
}

TEST(CompletionsFormat, PromptsThatSeveralAnswersShareCountOnce) {
  const GenerateCall call = call_of(Dialect::kCompletions);
  std::vector<Answer> answers{answer_of("a"), answer_of("b"), answer_of("c")};
  answers[2].prompt = 1;
  const Json reply = make_format(call, info())->whole(answers);
  EXPECT_EQ(reply["usage"]["prompt_tokens"], 20);
  EXPECT_EQ(reply["usage"]["completion_tokens"], 9);
}

TEST(LlamaFormat, FieldsCanBeChosen) {
  GenerateCall call = call_of(Dialect::kLlama);
  call.options.max_tokens = 9;
  call.response_fields = {"content", "generation_settings/n_predict", "nothing"};
  const Answer answer = answer_of("Hello");
  EXPECT_EQ(make_format(call, info())->whole({&answer, 1}),
            Json({{"content", "Hello"}, {"generation_settings/n_predict", 9}}));
}

TEST(LlamaFormat, SeveralPromptsGiveAList) {
  GenerateCall call = call_of(Dialect::kLlama);
  const Answer answer = answer_of("Hello");
  EXPECT_TRUE(make_format(call, info())->whole({&answer, 1}).is_object());
  call.several_prompts = true;
  EXPECT_TRUE(make_format(call, info())->whole({&answer, 1}).is_array());
}

TEST(ResponsesFormat, StreamOpensAndClosesItems) {
  const std::vector<Json> all = stream(call_of(Dialect::kResponses));
  EXPECT_THAT(types(all),
              ElementsAre("response.created", "response.in_progress",  //
                          "response.output_item.added", "response.reasoning_text.delta",
                          "response.reasoning_text.done", "response.output_item.done",
                          "response.output_item.added", "response.content_part.added",
                          "response.output_text.delta", "response.output_text.delta",
                          "response.output_text.done", "response.content_part.done",
                          "response.output_item.done",  //
                          "response.output_item.added", "response.function_call_arguments.delta",
                          "response.function_call_arguments.done", "response.output_item.done",
                          "response.completed"));
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i]["sequence_number"], i);
  const Json& output = all.back()["response"]["output"];
  ASSERT_EQ(output.size(), 3U);
  EXPECT_EQ(output[1]["content"][0]["text"], "Hello");
  EXPECT_EQ(output[1]["id"], all[8]["item_id"]);
  EXPECT_EQ(output[2]["call_id"], "c1");
  EXPECT_EQ(output[2]["arguments"], "{\"a\":1}");
  EXPECT_EQ(all.back()["response"]["status"], "completed");
  EXPECT_EQ(all.back()["response"]["usage"]["input_tokens_details"]["cached_tokens"], 4);
}

TEST(ResponsesFormat, WholeReplyHasTheSameItems) {
  const GenerateCall call = call_of(Dialect::kResponses);
  Answer answer = answer_of("Hello", FinishReason::kLength);
  answer.tools = {{0, "c1", "f", "{}"}};
  const Json reply = make_format(call, info())->whole({&answer, 1});
  EXPECT_EQ(reply["id"], "resp_ID");
  EXPECT_EQ(reply["status"], "incomplete");
  EXPECT_EQ(reply["incomplete_details"]["reason"], "max_output_tokens");
  ASSERT_EQ(reply["output"].size(), 2U);
  EXPECT_EQ(reply["output"][0]["type"], "message");
  EXPECT_EQ(reply["output"][1]["type"], "function_call");
}

TEST(MessagesFormat, StreamNumbersItsBlocks) {
  const std::vector<Json> all = stream(call_of(Dialect::kMessages));
  EXPECT_THAT(types(all),
              ElementsAre("message_start",  //
                          "content_block_start", "content_block_delta", "content_block_delta",
                          "content_block_stop",  //
                          "content_block_start", "content_block_delta", "content_block_delta",
                          "content_block_stop",  //
                          "content_block_start", "content_block_delta", "content_block_stop",
                          "message_delta", "message_stop"));
  EXPECT_EQ(all[0]["message"]["usage"]["input_tokens"], 6);
  EXPECT_EQ(all[0]["message"]["usage"]["cache_read_input_tokens"], 4);
  EXPECT_EQ(all[3]["delta"]["type"], "signature_delta");
  EXPECT_EQ(all[5]["index"], 1);
  EXPECT_EQ(all[9]["content_block"]["name"], "f");
  EXPECT_EQ(all[10]["delta"]["partial_json"], "{\"a\":1}");
  EXPECT_EQ(all[12]["delta"]["stop_reason"], "tool_use");
  EXPECT_EQ(all[12]["usage"]["output_tokens"], 3);
}

TEST(MessagesFormat, WholeReply) {
  const GenerateCall call = call_of(Dialect::kMessages);
  Answer answer = answer_of("", FinishReason::kLength);
  const auto format = make_format(call, info());
  Json reply = format->whole({&answer, 1});
  EXPECT_EQ(reply["content"], Json::array({{{"type", "text"}, {"text", ""}}}));
  EXPECT_EQ(reply["stop_reason"], "max_tokens");
  EXPECT_FALSE(reply.contains("timings"));
  answer.tools = {{0, "c1", "f", "not JSON"}};
  reply = format->whole({&answer, 1});
  EXPECT_EQ(reply["content"][0]["input"], Json::object());
  EXPECT_EQ(format->error(ApiError(400, "no"))["type"], "error");
}

TEST(Timings, AreNeverInfinite) {
  Progress progress;
  const Json nothing = timings_json(progress);
  for (const auto& [name, value] : nothing.items()) EXPECT_EQ(value, 0) << name;
  progress.generated = 16;
  progress.generate_ms = 30;
  EXPECT_DOUBLE_EQ(timings_json(progress)["predicted_per_second"], 500);
}

}  // namespace
}  // namespace tidal::server
