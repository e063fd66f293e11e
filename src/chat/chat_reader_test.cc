#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cctype>
#include <string>
#include <vector>

#include "chat/chat_request.h"
#include "chat/chat_test_util.h"
#include "chat/syntax.h"
#include "tidal/chat.h"

namespace tidal::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using Json = nlohmann::ordered_json;

const Json kTools = Json::parse(R"([
  {"type": "function", "function": {"name": "f", "parameters": {"type": "object",
     "properties": {"a": {"type": "integer"}, "s": {"type": "string"}}}}},
  {"type": "function", "function": {"name": "g"}}])");

struct How {
  bool reasoning_open = false;
  bool tools = true;
  bool parallel = true;
  bool split = true;
};

ChatSyntax syntax_of(std::string_view format, const How& how = {}) {
  SyntaxData data;
  data.format = &reply_format(format);
  data.reasoning = format == "mistral-args" ? ReasoningTags{"[THINK]", "[/THINK]"}
                   : format == "command-r7b"
                       ? ReasoningTags{"<|START_THINKING|>", "<|END_THINKING|>"}
                       : ReasoningTags{"<think>", "</think>"};
  data.reasoning_open = how.reasoning_open;
  data.split_reasoning = how.split;
  data.parallel_calls = how.parallel;
  if (how.tools) data.tools = kTools;
  return ChatSyntax(std::make_shared<const SyntaxData>(data));
}

ChatReply read(const ChatSyntax& syntax, std::string_view text, size_t piece) {
  ChatReader reader(syntax);
  ChatReply joined;
  const auto join = [&](const ChatDelta& delta) {
    joined.content += delta.content;
    joined.reasoning += delta.reasoning;
    for (const ToolCallDelta& call : delta.tool_calls) {
      EXPECT_EQ(call.index, static_cast<int>(joined.tool_calls.size()));
      joined.tool_calls.push_back({call.id, call.name, call.arguments});
    }
  };
  for (size_t at = 0; at < text.size(); at += piece) join(reader.push(text.substr(at, piece)));
  join(reader.finish());
  EXPECT_EQ(joined.content, reader.reply().content);
  EXPECT_EQ(joined.reasoning, reader.reply().reasoning);
  EXPECT_EQ(joined.tool_calls.size(), reader.reply().tool_calls.size());
  return reader.reply();
}

std::vector<std::string> calls_of(const ChatReply& reply) {
  std::vector<std::string> calls;
  for (const ToolCall& call : reply.tool_calls) calls.push_back(call.name + call.arguments);
  return calls;
}

struct Case {
  const char* format;
  std::string text;
  std::string content = {};
  std::string reasoning = {};
  std::vector<std::string> calls = {};
  How how = {};
};

// NOLINTNEXTLINE(readability-function-size): a table
const std::vector<Case>& cases() {
  static const std::vector<Case> all{
      {"hermes", "Hello there.\n", "Hello there.\n"},
      {"hermes", "<think>\nHm.\n</think>\n\nHi", "Hi", "Hm."},
      {"hermes", "Hm.\n</think>\n\nHi", "Hi", "Hm.", {}, {.reasoning_open = true}},
      {"hermes", "<think>Hm</think>Hi", "<think>Hm</think>Hi", "", {}, {.split = false}},
      {"hermes", "<thin ice> <tool_box>", "<thin ice> <tool_box>"},
      {"hermes", "1 < 2 <think>x</think>", "1 < 2 <think>x</think>"},
      {"hermes",
       "Wait.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
       "Wait.",
       "",
       {"f{\"a\":1}"}},
      {"hermes",
       "<think>I see</think>\n<tool_call>{\"name\": \"f\", \"arguments\": {\"s\": "
       "\"</tool_call>}{\\\"\"}}</tool_call>\n<tool_call>\n{\"name\":\"g\"}\n</tool_call>\n",
       "",
       "I see",
       {"f{\"s\":\"</tool_call>}{\\\"\"}", "g{}"}},
      {"hermes",
       "<tool_call>{\"name\": \"f\"}</tool_call>",
       "<tool_call>{\"name\": \"f\"}</tool_call>",
       "",
       {},
       {.tools = false}},
      {"hermes",
       "<tool_call>{\"name\": \"f\"}</tool_call><tool_call>{\"name\": \"g\"}</tool_call>",
       "",
       "",
       {"f{}"},
       {.parallel = false}},
      {"qwen3-coder",
       "Let me.\n<tool_call>\n<function=f>\n<parameter=a>\n7\n</parameter>\n<parameter=s>\n1\n2\n"
       "</parameter>\n</function>\n</tool_call>",
       "Let me.",
       "",
       {"f{\"a\":7,\"s\":\"1\\n2\"}"}},
      {"seed",
       "<seed:tool_call>\n<function=g>\n<parameter=x>[1, 2]</parameter>\n</function>\n"
       "</seed:tool_call>",
       "",
       "",
       {"g{\"x\":[1,2]}"}},
      {"glm",
       "<think></think>\n<tool_call>f\n<arg_key>a</arg_key>\n<arg_value>3</arg_value>\n"
       "<arg_key>s</arg_key>\n<arg_value>3</arg_value>\n</tool_call>",
       "",
       "",
       {"f{\"a\":3,\"s\":\"3\"}"}},
      {"llama3", "{\"name\": \"f\", \"parameters\": {\"a\": 1}}", "", "", {"f{\"a\":1}"}},
      {"llama3",
       "<|python_tag|>{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"g\"}",
       "",
       "",
       {"f{}", "g{}"}},
      {"llama3", "{\"name\": \"unknown\", \"parameters\": {}}",
       "{\"name\": \"unknown\", \"parameters\": {}}"},
      {"llama3", "{\"answer\": 42} is it", "{\"answer\": 42} is it"},
      {"llama3", "Say {\"name\": \"f\"}", "Say {\"name\": \"f\"}"},
      {"mistral",
       "[TOOL_CALLS][{\"name\": \"f\", \"arguments\": {\"a\": 1}, \"id\": \"abcdef012\"}, "
       "{\"name\": \"g\", \"arguments\": {}}]",
       "",
       "",
       {"f{\"a\":1}", "g{}"}},
      {"mistral-args",
       "[THINK]Hm[/THINK]So.[TOOL_CALLS]f[ARGS]{\"a\": 1}[TOOL_CALLS]g[ARGS]{}",
       "So.",
       "Hm",
       {"f{\"a\":1}", "g{}"}},
      {"mistral-args", "[TOOL_CALLS]f[CALL_ID]abcdef012[ARGS]{\"a\": 1}", "", "", {"f{\"a\":1}"}},
      {"deepseek",
       "Hm</think>\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n"
       "{\"a\": 1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>g<｜tool▁sep｜>{}"
       "<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
       "",
       "Hm",
       {"f{\"a\":1}", "g{}"},
       {.reasoning_open = true}},
      {"kimi",
       "Now.<|tool_calls_section_begin|><|tool_call_begin|>functions.f:0"
       "<|tool_call_argument_begin|>{\"a\": 1}<|tool_call_end|><|tool_calls_section_end|>",
       "Now.",
       "",
       {"f{\"a\":1}"}},
      {"command-r7b",
       "<|START_THINKING|>Plan.<|END_THINKING|><|START_ACTION|>[\n{\"tool_call_id\": \"0\", "
       "\"tool_name\": \"f\", \"parameters\": {\"a\": 1}}\n]<|END_ACTION|>",
       "",
       "Plan.",
       {"f{\"a\":1}"}},
      {"command-r7b", "<|START_RESPONSE|>Hello<|END_RESPONSE|>", "Hello"},
      {"functionary",
       "Ok <function=f>{\"a\": 1}</function><function=g>{}</function>",
       "Ok",
       "",
       {"f{\"a\":1}", "g{}"}},
      {"nemotron", "<TOOLCALL>[{\"name\": \"f\", \"arguments\": {}}]</TOOLCALL>", "", "", {"f{}"}},
      {"tool-calls",
       "<tool_calls>\n{\"name\": \"f\"}\n{\"name\": \"g\"}\n</tool_calls>",
       "",
       "",
       {"f{}", "g{}"}},
      {"granite",
       "<|tool_call|>[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]",
       "",
       "",
       {"f{\"a\":1}"}},
      {"json", "{\"name\": \"f\", \"arguments\": {\"a\": 1}}", "", "", {"f{\"a\":1}"}},
      {"harmony",
       "<|channel|>analysis<|message|>Need f.<|end|><|start|>assistant<|channel|>commentary "
       "to=functions.f <|constrain|>json<|message|>{\"a\": 1}<|call|>",
       "",
       "Need f.",
       {"f{\"a\":1}"}},
      {"harmony",
       "<|channel|>analysis<|message|>A<|end|><|start|>assistant<|channel|>analysis<|message|>B"
       "<|end|><|start|>assistant<|channel|>final<|message|>Hi {}<|return|>",
       "Hi {}", "A\nB"},
      {"harmony", " to=functions.g<|channel|>commentary<|message|>{}<|call|>", "", "", {"g{}"}},
      {"harmony", "Plain text", "Plain text"},
  };
  return all;
}

TEST(ChatReader, ReadsEveryFormatWholeAndByteByByte) {
  for (const Case& test : cases()) {
    for (const size_t piece : {test.text.size(), size_t{1}, size_t{3}}) {
      SCOPED_TRACE(std::string(test.format) + ": " + test.text);
      const ChatReply reply = read(syntax_of(test.format, test.how), test.text, piece);
      EXPECT_EQ(reply.content, test.content);
      EXPECT_EQ(reply.reasoning, test.reasoning);
      EXPECT_EQ(calls_of(reply), test.calls);
    }
  }
}

std::string without_tags(std::string text, const ChatSyntax& syntax) {
  for (const std::string_view tag : tags_of(*syntax.data())) {
    for (size_t at = text.find(tag); at != text.npos; at = text.find(tag, at))
      text.erase(at, tag.size());
  }
  std::erase_if(text, [](unsigned char c) { return std::isspace(c) != 0; });
  return text;
}

// Calls that are whole stay calls, and what was lost of another one is text.
TEST(ChatReader, LosesNoTextWhereTokensEnd) {
  for (const Case& test : cases()) {
    const ChatSyntax syntax = syntax_of(test.format, test.how);
    for (size_t n = 0; n <= test.text.size(); ++n) {
      const std::string cut = test.text.substr(0, n);
      SCOPED_TRACE(std::string(test.format) + ": " + cut);
      const ChatReply whole = read(syntax, cut, n + 1);
      const ChatReply streamed = read(syntax, cut, 1);
      EXPECT_EQ(whole.content, streamed.content);
      EXPECT_EQ(whole.reasoning, streamed.reasoning);
      EXPECT_EQ(calls_of(whole), calls_of(streamed));
      ASSERT_LE(whole.tool_calls.size(), test.calls.size());
      for (size_t i = 0; i < whole.tool_calls.size(); ++i) {
        EXPECT_EQ(calls_of(whole)[i], test.calls[i]) << "no call before it is whole";
      }
      const bool has_header = test.text.starts_with("<|channel|>") || test.text.starts_with(" to=");
      if (whole.tool_calls.empty() && !has_header) {
        EXPECT_EQ(without_tags(whole.reasoning + whole.content, syntax), without_tags(cut, syntax));
      }
    }
  }
}

TEST(ChatReader, SaysWhatItCouldNotRead) {
  const ChatReply cut =
      read(syntax_of("hermes"), "So: <tool_call>{\"name\": \"f\", \"arguments\": {\"a", 5);
  EXPECT_EQ(cut.content, "So: <tool_call>{\"name\": \"f\", \"arguments\": {\"a");
  EXPECT_THAT(cut.warning, HasSubstr("tool call"));
  EXPECT_EQ(read(syntax_of("hermes"), "Hello", 5).warning, "");
  const ChatReply bad = read(syntax_of("hermes"), "<tool_call>hello</tool_call> bye", 1);
  EXPECT_EQ(bad.content, "<tool_call>hello</tool_call> bye");
}

TEST(ChatReader, GivesIds) {
  const auto id = [](const char* format, const char* text) {
    return read(syntax_of(format), text, 4).tool_calls.at(0).id;
  };
  EXPECT_THAT(id("hermes", "<tool_call>{\"name\": \"f\"}</tool_call>"), SizeIs(32));
  EXPECT_THAT(id("mistral", "[TOOL_CALLS][{\"name\": \"f\"}]"), SizeIs(9));
  EXPECT_EQ(id("mistral", "[TOOL_CALLS][{\"name\": \"f\", \"id\": \"abcdef012\"}]"), "abcdef012");
  EXPECT_EQ(id("kimi",
               "<|tool_call_begin|>functions.f:3<|tool_call_argument_begin|>{}"
               "<|tool_call_end|>"),
            "functions.f:3");
}

TEST(ChatReader, IsDoneAfterTheOneCallThatIsAllowed) {
  ChatReader reader(syntax_of("hermes", {.parallel = false}));
  reader.push("<tool_call>{\"name\": \"f\"}");
  EXPECT_FALSE(reader.done());
  reader.push("</tool_call>");
  EXPECT_TRUE(reader.done());
  EXPECT_TRUE(reader.push("more").empty());
  EXPECT_EQ(ChatReader(ChatSyntax()).push("<think>").content, "<think>");
}

// Quadratic time would not end before the test is ended.
TEST(ChatReader, StandsHostileText) {
  constexpr size_t kMegabyte = size_t{1} << 20;
  for (const ReplyFormat& format : reply_formats()) {
    std::vector<std::string> seeds{"{", "[", "\xff\xfe", "<", "{\"a\":", "\"", "<think>", " "};
    for (const std::string_view tag : tags_of(*syntax_of(format.name).data()))
      seeds.emplace_back(tag);
    for (const std::string& seed : seeds) {
      for (const std::string& begin : {std::string(), std::string(format.open) + "{\"name\":"}) {
        SCOPED_TRACE(testing::Message() << format.name << ": " << begin << " " << seed);
        const bool chosen = format.name == "hermes" || format.name == "glm" || format.bare_json;
        const size_t size = chosen ? kMegabyte : kMegabyte / 32;
        std::string text = begin;
        while (text.size() < size) text += seed;
        const size_t piece = size == kMegabyte ? 1 << 16 : 1;
        EXPECT_EQ(read(syntax_of(format.name), text, piece).tool_calls.size(), 0u);
      }
    }
  }
}

TEST(ChatReader, FindsTheFormatOfATemplate) {
  const auto syntax = [](const std::string& name, const std::string& more = {}) {
    const std::string request = R"({"messages": [{"role": "user", "content": "x"}], "tools": )" +
                                kTools.dump() + more + "}";
    return prompter_of(template_source(name)).prompt(parse_chat_request(request)).syntax;
  };
  EXPECT_EQ(syntax("qwen2_5").name(), "hermes");
  EXPECT_EQ(syntax("qwen3").name(), "hermes");
  EXPECT_EQ(syntax("llama3_1").name(), "llama3");
  EXPECT_EQ(syntax("mistral_v2v3").name(), "mistral");
  EXPECT_EQ(syntax("smollm2").name(), "hermes") << "tools described by us";
  EXPECT_TRUE(syntax("deepseek_r1_distill").data()->reasoning_open ||
              !template_source("deepseek_r1_distill").ends_with("<think>"));
  EXPECT_FALSE(syntax("qwen3", R"(, "reasoning_format": "none")").data()->split_reasoning);
  EXPECT_TRUE(syntax("qwen3", R"(, "tool_choice": "none")").data()->tools.is_null());
}

TEST(ChatReader, GrammarOfRequiredCalls) {
  const auto tag = [](const std::string& choice) {
    const std::string request = R"({"messages": [{"role": "user", "content": "x"}], "tools": )" +
                                kTools.dump() + R"(, "tool_choice": )" + choice + "}";
    return prompter_of(template_source("qwen3")).prompt(parse_chat_request(request)).structural_tag;
  };
  EXPECT_EQ(tag("\"auto\""), "");
  const Json both = Json::parse(tag("\"required\""));
  EXPECT_EQ(both["type"], "structural_tag");
  EXPECT_THAT(both["format"]["tags"], SizeIs(2));
  const Json one = Json::parse(tag(R"({"type": "function", "function": {"name": "f"}})"));
  ASSERT_THAT(one["format"]["tags"], SizeIs(1));
  const Json& f = one["format"]["tags"][0];
  // What the grammar lets through is what the reader takes.
  const ChatReply reply =
      read(syntax_of("hermes"),
           f["begin"].get<std::string>() + "{\"a\":1}" + f["end"].get<std::string>(), 7);
  EXPECT_THAT(calls_of(reply), ElementsAre("f{\"a\":1}"));
  EXPECT_EQ(f["content"]["json_schema"], kTools[0]["function"]["parameters"]);
  EXPECT_EQ(f["content"]["strict"], false);
}

TEST(ChatReader, EveryGrammarIsReadAsACall) {
  for (const ReplyFormat& format : reply_formats()) {
    const std::string text = required_calls(*syntax_of(format.name).data(), "f");
    if (text.empty()) continue;
    SCOPED_TRACE(format.name);
    const Json tag = Json::parse(text)["format"]["tags"][0];
    EXPECT_THAT(
        calls_of(read(syntax_of(format.name),
                      tag["begin"].get<std::string>() + "{\"a\":1}" + tag["end"].get<std::string>(),
                      5)),
        ElementsAre("f{\"a\":1}"));
  }
}

}  // namespace
}  // namespace tidal::test
