#include "server/convert.h"

#include <gtest/gtest.h>

#include "server/errors.h"

namespace tidal::server {
namespace {

using nlohmann::json;

TEST(Responses, TextAndInstructionsBecomeMessages) {
  const json chat = chat_from_responses({{"instructions", "Be brief."}, {"input", "Hi"}});
  EXPECT_EQ(chat["messages"], json({{{"role", "system"}, {"content", "Be brief."}},
                                    {{"role", "user"}, {"content", "Hi"}}}));
}

TEST(Responses, ItemsBecomeMessages) {
  const json input = {
      {{"role", "developer"}, {"content", "S"}},
      {{"type", "message"},
       {"role", "user"},
       {"content", {{{"type", "input_text"}, {"text", "Hi"}}}}},
      {{"type", "reasoning"}, {"content", {{{"type", "reasoning_text"}, {"text", "hm"}}}}},
      {{"type", "function_call"}, {"call_id", "1"}, {"name", "f"}, {"arguments", "{}"}},
      {{"type", "function_call"}, {"call_id", "2"}, {"name", "g"}, {"arguments", "{}"}},
      {{"type", "function_call_output"}, {"call_id", "1"}, {"output", "one"}},
      {{"type", "web_search_call"}, {"id", "x"}}};
  const json messages = chat_from_responses({{"input", input}})["messages"];
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0]["role"], "system");
  EXPECT_EQ(messages[1]["content"], json({{{"type", "text"}, {"text", "Hi"}}}));
  EXPECT_EQ(messages[2]["reasoning_content"], "hm");
  EXPECT_EQ(messages[2]["tool_calls"].size(), 2U);
  EXPECT_EQ(messages[2]["tool_calls"][1]["function"]["name"], "g");
  EXPECT_EQ(messages[3], json({{"role", "tool"}, {"tool_call_id", "1"}, {"content", "one"}}));
}

TEST(Responses, OnlyFunctionsAreTools) {
  const json chat = chat_from_responses(
      {{"input", "x"},
       {"tools",
        {{{"type", "function"}, {"name", "f"}, {"parameters", {{"type", "object"}}}},
         {{"type", "web_search"}},
         {{"type", "namespace"}, {"tools", json::array()}}}},
       {"tool_choice", {{"type", "function"}, {"name", "f"}}},
       {"reasoning", {{"effort", "low"}}}});
  ASSERT_EQ(chat["tools"].size(), 1U);
  EXPECT_EQ(chat["tools"][0]["function"]["name"], "f");
  EXPECT_EQ(chat["tool_choice"]["function"]["name"], "f");
  EXPECT_EQ(chat["reasoning_effort"], "low");
}

TEST(Responses, RefuseWhatTheyDoNotKeep) {
  for (const json& body :
       {json({{"input", "x"}, {"previous_response_id", "resp_1"}}), json::object(),
        json({{"input", 1}}), json({{"input", {1}}}), json({{"input", "x"}, {"tools", 1}}),
        json({{"input", {{{"type", "item_reference"}, {"id", "1"}}}}}),
        json({{"input", {{{"role", "user"}, {"content", {{{"type", "input_audio"}}}}}}}}),
        json({{"input", {{{"role", 1}, {"content", "x"}}}}})}) {
    EXPECT_THROW(chat_from_responses(body), ApiError) << body;
  }
}

TEST(Messages, BlocksBecomeMessages) {
  const json body = {
      {"system", {{{"type", "text"}, {"text", "x-anthropic-billing-header: cch=a1;\nBe brief."}}}},
      {"messages",
       {{{"role", "user"}, {"content", "Hi"}},
        {{"role", "assistant"},
         {"content",
          {{{"type", "thinking"}, {"thinking", "hm"}},
           {{"type", "text"}, {"text", "Sure"}},
           {{"type", "tool_use"}, {"id", "1"}, {"name", "f"}, {"input", {{"a", 1}}}}}}},
        {{"role", "user"},
         {"content",
          {{{"type", "text"}, {"text", "Here"}},
           {{"type", "tool_result"},
            {"tool_use_id", "1"},
            {"content", {{{"type", "text"}, {"text", "one"}}}}}}}}}}};
  const json messages = chat_from_messages(body)["messages"];
  ASSERT_EQ(messages.size(), 5U);
  EXPECT_EQ(messages[0], json({{"role", "system"}, {"content", "Be brief."}}));
  EXPECT_EQ(messages[2]["content"], "Sure");
  EXPECT_EQ(messages[2]["reasoning_content"], "hm");
  EXPECT_EQ(messages[2]["tool_calls"][0]["function"]["arguments"], "{\"a\":1}");
  EXPECT_EQ(messages[3]["role"], "user");
  EXPECT_EQ(messages[4]["role"], "tool");
  EXPECT_EQ(messages[4]["content"], json({{{"type", "text"}, {"text", "one"}}}));
}

TEST(Messages, ThePromptDoesNotChangeWithTheBillingLine) {
  const auto prompt = [](const std::string& nonce) {
    return chat_from_messages({{"system", "A\nx-anthropic-billing-header: cch=" + nonce + "\nB"},
                               {"messages", json::array()}});
  };
  EXPECT_EQ(prompt("a1"), prompt("b7"));
}

TEST(Messages, PicturesAreHandedOn) {
  const json block = {
      {"type", "image"},
      {"source", {{"type", "base64"}, {"media_type", "image/png"}, {"data", "AA"}}}};
  const json chat = chat_from_messages({{"messages", {{{"role", "user"}, {"content", {block}}}}}});
  EXPECT_EQ(chat["messages"][0]["content"][0]["image_url"]["url"], "data:image/png;base64,AA");
}

TEST(Messages, ToolsAreFunctions) {
  const json chat =
      chat_from_messages({{"messages", json::array()},
                          {"tools",
                           {{{"name", "f"}, {"input_schema", {{"type", "object"}}}},
                            {{"type", "web_search_20250305"}}}},
                          {"tool_choice", {{"type", "any"}, {"disable_parallel_tool_use", true}}},
                          {"thinking", {{"type", "enabled"}, {"budget_tokens", 50}}}});
  ASSERT_EQ(chat["tools"].size(), 1U);
  EXPECT_EQ(chat["tools"][0]["function"]["name"], "f");
  EXPECT_EQ(chat["tool_choice"], "required");
  EXPECT_EQ(chat["parallel_tool_calls"], false);
  EXPECT_EQ(chat["chat_template_kwargs"]["enable_thinking"], true);
}

TEST(Messages, RefuseWhatIsNone) {
  for (const json& body : {json::object(), json({{"messages", "x"}}), json({{"messages", {1}}}),
                           json({{"messages", {{{"role", "user"}, {"content", 1}}}}}),
                           json({{"messages", json::array()}, {"system", 1}}),
                           json({{"messages", json::array()}, {"tools", 1}})}) {
    EXPECT_THROW(chat_from_messages(body), ApiError) << body;
  }
}

}  // namespace
}  // namespace tidal::server
