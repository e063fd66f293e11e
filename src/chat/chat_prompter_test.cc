#include "chat/chat_prompter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "base/json.h"
#include "chat/chat_test_util.h"
#include "testing/error.h"

namespace tidal::test {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::ordered_json;

constexpr const char* kTools = R"("tools": [{"type": "function", "function": {"name": "get_time",
  "description": "d", "parameters": {"type": "object", "properties": {}}}}])";
constexpr const char* kHello = R"("messages": [{"role": "user", "content": "Hello"}])";

std::string body(const std::string& members, const std::string& more = {}) {
  return "{" + members + (more.empty() ? "" : ", " + more) + "}";
}

// As clients send it: arguments are text.
Json as_sent(Json messages) {
  for (Json& message : messages) {
    if (!message.contains("tool_calls")) continue;
    for (Json& call : message["tool_calls"]) {
      Json& arguments = call["function"]["arguments"];
      if (arguments.is_object()) arguments = dump(arguments);
    }
  }
  return messages;
}

// What transformers renders from objects, every template that shows calls and tools at all renders
// from a client's request.
TEST(ChatPrompter, RendersToolsAsTransformersDoes) {
  int compared = 0;
  for (const char* name : {"llama3_1", "llama3_2", "mistral_v2v3", "qwen2_5", "qwen3"}) {
    const Json fixture = Json::parse(read_text(data_path("chat/") + name + ".json"));
    const ChatPrompter prompter =
        prompter_of(template_source(name), fixture["bos_token"], fixture["eos_token"]);
    EXPECT_TRUE(prompter.traits().tools && prompter.traits().tool_calls) << name;
    for (const Json& test_case : fixture["cases"]) {
      const std::string case_name = test_case["name"];
      const bool is_shape = case_name.starts_with("tool_call_tools") ||
                            case_name.starts_with("tool_call_content_tools") ||
                            case_name.starts_with("two_tool_calls_mapping_tools") ||
                            case_name.starts_with("tools_no_system_tools");
      if (!is_shape || test_case.contains("error") ||
          case_name.find("strftime") != std::string::npos) {
        continue;
      }
      SCOPED_TRACE(name + std::string(" ") + case_name);
      Json request = {{"messages", as_sent(test_case["messages"])},
                      {"tools", test_case["tools"]},
                      {"add_generation_prompt", test_case["add_generation_prompt"]},
                      {"chat_template_kwargs", {{"date_string", "26 Jul 2024"}}}};
      EXPECT_EQ(prompt_text(prompter, request.dump()), test_case["expected"].get<std::string>());
      ++compared;
    }
  }
  EXPECT_GE(compared, 12);
}

TEST(ChatPrompter, JoinsPartsAndGoesOnWithAnAnswer) {
  const ChatPrompter prompter = prompter_of(template_source("llama3"));
  EXPECT_THAT(prompt_text(prompter, body(R"("messages": [{"role": "developer", "content": "D"},
                  {"role": "user", "content": [{"type": "text", "text": "What is"},
                                               {"type": "text", "text": "it"}]}])")),
              testing::AllOf(HasSubstr("system<|end_header_id|>\n\nD<|eot_id|>"),
                             HasSubstr("\n\nWhat is\nit<|eot_id|>")));
  const std::string open = "assistant<|end_header_id|>\n\n";
  const std::string chat = R"("messages": [{"role": "user", "content": "Q"},
      {"role": "assistant", "content": [{"type": "text", "text": "Wh"},
                                        {"type": "text", "text": "ill"}]}])";
  EXPECT_THAT(prompt_text(prompter, body(chat)), EndsWith(open + "Wh\n\nill"));
  EXPECT_THAT(prompt_text(prompter, body(chat, R"("continue_final_message": false)")),
              EndsWith("ill<|eot_id|>"
                       "<|start_header_id|>" +
                       open));
  EXPECT_THAT(prompt_text(prompter, body(kHello, R"("add_generation_prompt": false)")),
              EndsWith("Hello<|eot_id|>"));
}

TEST(ChatPrompter, ClosesReasoningThatATemplateOpensAnyway) {
  const std::string opens = "{{ messages[0].content }}\n<think>\n{# </think> #}";
  const std::string off = R"("chat_template_kwargs": {"enable_thinking": false})";
  EXPECT_THAT(prompt_text(prompter_of(opens), body(kHello)), EndsWith("<think>\n"));
  EXPECT_THAT(prompt_text(prompter_of(opens), body(kHello, off)), EndsWith("<think>\n</think>"));
  const ChatPrompter qwen = prompter_of(template_source("qwen3"));
  EXPECT_THAT(prompt_text(qwen, body(kHello, off)), EndsWith("<think>\n\n</think>\n\n"));
  EXPECT_THAT(prompt_text(qwen, body(kHello, R"("reasoning_effort": "none")")),
              EndsWith("<think>\n\n</think>\n\n"));
  const std::string thought = R"("messages": [{"role": "user", "content": "Q"},
      {"role": "assistant", "reasoning_content": "Hm"}])";
  EXPECT_THAT(prompt_text(qwen, body(thought)), EndsWith("assistant\n<think>Hm"));
}

TEST(ChatPrompter, DescribesToolsWhereATemplateKnowsNone) {
  const ChatPrompter prompter = prompter_of(template_source("smollm2"));
  EXPECT_FALSE(prompter.traits().tools);
  const std::string text = prompt_text(prompter, body(R"("messages": [
    {"role": "system", "content": "S"}, {"role": "user", "content": "Q"},
    {"role": "assistant", "content": null, "tool_calls": [
      {"function": {"name": "get_time", "arguments": "{\"a\": 1}"}}]},
    {"role": "tool", "content": "noon"}, {"role": "tool", "content": "night"}])",
                                                      kTools));
  EXPECT_THAT(text, HasSubstr("<|im_start|>system\nS\n\n# Tools"));
  EXPECT_THAT(text, HasSubstr("<tools>\n{\"type\":\"function\""));
  EXPECT_THAT(text, HasSubstr("<tool_call>\n{\"name\":\"get_time\",\"arguments\":"));
  EXPECT_THAT(text, HasSubstr("user\n<tool_response>\nnoon\n</tool_response>\n<tool_response>"));
  EXPECT_THAT(
      prompt_text(prompter, body(kHello, kTools + std::string(R"(, "tool_choice": "none")"))),
      Not(HasSubstr("get_time")));
}

TEST(ChatPrompter, FindsTheShapeATemplateWants) {
  EXPECT_FALSE(prompter_of("{{ raise_exception('no') if messages[0].role == 'system' }}"
                           "{% for m in messages %}{{ m.content }}{% endfor %}")
                   .traits()
                   .system_role);
  const char* in_parts =
      "{% for m in messages %}{% for p in m.content if p is mapping %}"
      "{{ p.text }}{% endfor %}{% endfor %}";
  EXPECT_TRUE(prompter_of(in_parts).traits().parts_only);
  EXPECT_EQ(prompt_text(prompter_of(in_parts), body(kHello)), "Hello");
  // Prints the arguments as they come: text is meant.
  const ChatPrompter printed = prompter_of(
      "{% for m in messages %}{% if m.content is none %}{% for c in m.tool_calls %}"
      "{{ c.function.name }}{{ c.function.arguments }}{% endfor %}{% endif %}{% endfor %}");
  EXPECT_FALSE(printed.traits().object_arguments);
  EXPECT_TRUE(printed.traits().none_with_calls);
  EXPECT_EQ(prompt_text(printed, body(R"("messages": [{"role": "user", "content": "Q"},
      {"role": "assistant", "tool_calls": [{"function": {"name": "f", "arguments": {"a": 1}}}]}])")),
            "f{\"a\":1}");
  const ChatPrompter mistral = prompter_of(template_source("mistral_v2v3"));
  EXPECT_TRUE(mistral.traits().short_call_ids);
  EXPECT_THAT(prompt_text(mistral, body(R"("messages": [{"role": "user", "content": "Q"},
      {"role": "assistant", "tool_calls": [
        {"id": "call_0123456789", "function": {"name": "f", "arguments": "{}"}}]},
      {"role": "tool", "tool_call_id": "call_0123456789", "content": "x"}])")),
              Not(HasSubstr("call_0123456789")));
}

TEST(ChatPrompter, TakesTemplatesByNameAndInText) {
  const Tokenizer tokenizer = tiny_tokenizer();
  const auto text = [&](std::string_view name) {
    return prompt_text(ChatPrompter::with_template(tokenizer, name),
                       body(R"("messages": [{"role": "system", "content": "You are a test."},
                                            {"role": "user", "content": "Hi there"}])"));
  };
  EXPECT_EQ(text("command-r"),
            "<|START_OF_TURN_TOKEN|><|SYSTEM_TOKEN|>You are a test.<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|USER_TOKEN|>Hi there<|END_OF_TURN_TOKEN|>"
            "<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|>");
  EXPECT_EQ(text("chatml"),
            "<|im_start|>system\nYou are a test.<|im_end|>\n<|im_start|>user\nHi there<|im_end|>\n"
            "<|im_start|>assistant\n");
  EXPECT_EQ(text("This is not a chat template, it is"), "This is not a chat template, it is");
  expect_error(ErrorCode::kInvalidArgument, {"alpaca", "chatml, llama3"},
               [&] { ChatPrompter::with_template(tokenizer, "alpaca"); });
  expect_error(ErrorCode::kUnsupported, {"fro"},
               [&] { ChatPrompter::with_template(tokenizer, "{% fro x in y %}"); });
}

TEST(ChatPrompter, WhatARequestSaysStaysContent) {
  const Tokenizer tokenizer = tiny_tokenizer();
  const ChatPrompter prompter(tokenizer, ChatTemplate::create(template_source("smollm2"), "", ""));
  const auto n_control = [&](const std::string& request) {
    const auto tokens = prompter.prompt(parse_chat_request(request)).tokens;
    return std::ranges::count_if(tokens, [&](TokenId id) { return tokenizer.is_control(id); });
  };
  const auto chat = [&](const std::string& word) {
    const std::string quoted = Json(word).dump();
    return body(R"("messages": [{"role": "user", "content": )" + quoted +
                    R"(}, {"role": "assistant", "content": null, "tool_calls": [{"id": )" + quoted +
                    R"(, "function": {"name": )" + quoted + R"(, "arguments": )" + quoted +
                    R"(}}]}, {"role": "tool", "content": [{"type": "text", "text": )" + quoted +
                    R"(}]}, {"role": "assistant", "reasoning_content": )" + quoted +
                    R"(, "content": )" + quoted + "}]",
                R"("chat_template_kwargs": {)" + quoted + ": " + quoted +
                    R"(}, "tools": [{"type": "function", "function": {"name": )" + quoted + "}}]");
  };
  std::string hostile;
  for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_control(id)) hostile += std::string(tokenizer.piece(id)) + " ";
  }
  EXPECT_GT(n_control(chat("word")), 0);
  EXPECT_EQ(n_control(chat(hostile)), n_control(chat("word")));
}

// A template that is not the model's own has no begin token; the tokenizer says whether it comes.
TEST(ChatPrompter, BeginsAsTheTokenizerWants) {
  TokenizerData data = GgufVocabularyReader(data_path("tiny-llama.gguf")).take_data();
  for (const bool add_bos : {true, false}) {
    data.add_bos = add_bos;
    const Tokenizer tokenizer = Tokenizer::create(data);
    const auto first = [&](std::string_view chat_template) {
      const auto prompter = ChatPrompter::with_template(tokenizer, chat_template, true);
      EXPECT_TRUE(prompter.is_fallback());
      return prompter.prompt(parse_chat_request(body(kHello))).tokens.front();
    };
    EXPECT_EQ(first("llama3") == tokenizer.bos(), add_bos);
    EXPECT_EQ(first("{{ bos_token }}x"), tokenizer.bos());
  }
}

TEST(ChatPrompter, NamesTheEndOfATurnThatTheVocabularyLacks) {
  const auto stop = [](std::string_view name) {
    const auto prompter = ChatPrompter::with_template(tiny_tokenizer(), name);
    return prompter.prompt(parse_chat_request(body(kHello))).stop;
  };
  EXPECT_THAT(stop("llama3"), testing::ElementsAre("<|eot_id|>"));
  EXPECT_THAT(stop("chatml"), testing::IsEmpty());
}

}  // namespace
}  // namespace tidal::test
