#include "chat/chat_request.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>

#include "testing/error.h"

namespace tidal::test {
namespace {

constexpr const char* kTools =
    R"("tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}])";

std::string user_and(const std::string& more) {
  return R"({"messages": [{"role": "user", "content": "Hi"}], )" + more + "}";
}

TEST(ChatRequest, TakesWhatClientsSend) {
  const ChatRequest request = parse_chat_request(R"({
    "model": "m", "temperature": 0.1, "stream": true, "tools": null, "tool_choice": null,
    "messages": [
      {"role": "developer", "content": [{"type": "text", "text": "a"}]},
      {"role": "user", "content": "Hi", "name": "Ann"},
      {"role": "assistant", "content": null, "refusal": null, "tool_calls": [
        {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{\"a\": 1}"}}]},
      {"role": "tool", "content": "3", "tool_call_id": "c1"}],
    "chat_template_kwargs": {"enable_thinking": false, "x": [1]}, "reasoning_effort": "high"})");
  EXPECT_EQ(request.messages.size(), 4u);
  EXPECT_EQ(request.messages[0]["content"][0]["text"], "a");
  EXPECT_TRUE(request.messages[2]["content"].is_null());
  EXPECT_EQ(request.messages[2]["tool_calls"][0]["function"]["arguments"], "{\"a\": 1}");
  EXPECT_FALSE(request.enable_thinking);
  EXPECT_EQ(request.variables.dump(),
            R"({"enable_thinking":false,"x":[1],"reasoning_effort":"high"})");
  EXPECT_TRUE(request.add_generation_prompt);
  EXPECT_FALSE(request.continue_final_message);
}

TEST(ChatRequest, ChoosesTools) {
  const auto choice = [](const std::string& value) {
    return parse_chat_request(user_and(kTools + (R"(, "tool_choice": )" + value)));
  };
  EXPECT_EQ(choice("\"none\"").tool_choice, ToolChoice::kNone);
  EXPECT_EQ(choice("\"required\"").tool_choice, ToolChoice::kRequired);
  const ChatRequest named = choice(R"({"type": "function", "function": {"name": "f"}})");
  EXPECT_EQ(named.tool_choice, ToolChoice::kRequired);
  EXPECT_EQ(named.tool_name, "f");
  EXPECT_TRUE(parse_chat_request(user_and(R"("tools": [])")).tools.is_null());
}

TEST(ChatRequest, GoesOnWithALastAnswer) {
  const auto parse = [](const std::string& more) {
    return parse_chat_request(R"({"messages": [{"role": "user", "content": "Hi"},
                                  {"role": "assistant", "content": "We"}])" +
                              more + "}");
  };
  EXPECT_TRUE(parse("").continue_final_message);
  EXPECT_TRUE(parse(R"(, "continue_final_message": true)").continue_final_message);
  EXPECT_FALSE(parse(R"(, "continue_final_message": false)").continue_final_message);
  EXPECT_FALSE(parse(R"(, "add_generation_prompt": false)").continue_final_message);
}

struct Refused {
  const char* body;
  const char* option;
  const char* part;
};

TEST(ChatRequest, SaysWhatIsWrongAndWhere) {
  const std::string both =
      user_and(R"("add_generation_prompt": true, "continue_final_message": true)");
  const std::string no_such = user_and(
      kTools + std::string(R"(, "tool_choice": {"type": "function", "function": {"name": "g"}})"));
  const std::string deep = R"({"messages": )" + std::string(100'000, '[');
  const Refused cases[] = {
      {"", "", "not valid JSON"},
      {"[]", "", "not an object"},
      {"{\"messages\": \"\xff\"}", "", "not valid JSON"},
      {deep.c_str(), "", "nested deeper"},
      {"{}", "messages", "no `messages`"},
      {R"({"messages": null})", "messages", "no `messages`"},
      {R"({"messages": "string"})", "messages", "string, not an array"},
      {R"({"messages": []})", "messages", "empty"},
      {R"({"messages": [123]})", "messages", "messages[0] is a number"},
      {R"({"messages": [{}]})", "messages", "messages[0] has no role"},
      {R"({"messages": [{"role": 123}]})", "messages", "messages[0].role is a number"},
      {R"({"messages": [{"role": "critic", "content": ""}]})", "messages", "\"critic\"; available"},
      {R"({"messages": [{"role": "user"}]})", "messages", "messages[0] has no content"},
      {R"({"messages": [{"role": "user", "content": 1}]})", "messages", "messages[0].content is"},
      {R"({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]})",
       "messages", "messages[0].content[0]: \"image_url\" is not supported"},
      {R"({"messages": [{"role": "user", "content": [{"type": "text"}]}]})", "messages",
       "content[0] has no text"},
      {R"({"messages": [{"role": "user", "content": "", "tool_calls": [{}]}]})", "messages",
       "its role is user"},
      {R"({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}]})",
       "messages", "tool_calls[0].function.name is a number"},
      {R"({"messages": [{"role": "user", "content": ""}, {"role": "assistant", "content": "a"},
           {"role": "assistant", "content": "b"}]})",
       "messages", "two messages"},
      {R"({"messages": [{"role": "assistant", "content": "a"}]})", "messages", "nothing"},
      {both.c_str(), "continue_final_message", "exclude"},
      {no_such.c_str(), "tool_choice", "\"g\""},
  };
  for (const Refused& refused : cases) {
    SCOPED_TRACE(std::string(refused.body).substr(0, 100));
    expect_error(ErrorCode::kInvalidArgument, {refused.part}, [&] {
      try {
        parse_chat_request(refused.body);
      } catch (const Error& error) {
        EXPECT_EQ(error.option(), refused.option);
        throw;
      }
    });
  }
  const std::pair<const char*, const char*> fields[] = {
      {"tools", "1"},
      {"tools", R"([{"type": "web_search"}])"},
      {"tools", R"([{"type": "function", "function": {"name": ""}}])"},
      {"tools", R"([{"type": "function", "function": {"name": "f", "parameters": 1}}])"},
      {"tool_choice", "\"sometimes\""},
      {"tool_choice", "\"required\""},
      {"parallel_tool_calls", "1"},
      {"chat_template_kwargs", "[]"},
      {"chat_template_kwargs", R"({"messages": []})"},
      {"chat_template_kwargs", R"({"enable_thinking": 1})"},
      {"reasoning_effort", "1"},
      {"reasoning_format", "\"pretty\""},
      {"add_generation_prompt", "\"no\""},
      {"continue_final_message", "true"},
  };
  for (const auto& [field, value] : fields) {
    SCOPED_TRACE(field + std::string(value));
    expect_error(ErrorCode::kInvalidArgument, {field}, [&, name = field, text = value] {
      try {
        parse_chat_request(user_and(fmt::format("\"{}\": {}", name, text)));
      } catch (const Error& error) {
        EXPECT_EQ(error.option(), name);
        throw;
      }
    });
  }
}

}  // namespace
}  // namespace tidal::test
