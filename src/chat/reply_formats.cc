#include <algorithm>

#include "base/check.h"
#include "chat/call_parsers.h"
#include "chat/reply_format.h"

namespace tidal {
namespace {

// NOLINTNEXTLINE(readability-function-size): a table
const std::vector<ReplyFormat>& table() {
  // The first whose marks a template has is its format.
  static const std::vector<ReplyFormat> formats{
      {.name = "harmony",
       .marks = {"<|channel|>", "<|message|>", "<|start|>"},
       .open = "<|channel|>",
       .call_begin = "<|channel|>commentary to=functions.NAME <|constrain|>json<|message|>",
       .call_end = "<|call|>",
       .ends = {"<|call|>", "<|return|>"}},
      {.name = "kimi",
       .marks = {"<|tool_call_begin|>", "<|tool_call_argument_begin|>"},
       .open = "<|tool_call_begin|>",
       .close = "<|tool_call_end|>",
       .make_parser = make_indexed_calls,
       .dropped = {"<|tool_calls_section_begin|>", "<|tool_calls_section_end|>"},
       .call_begin = "<|tool_calls_section_begin|><|tool_call_begin|>functions.NAME:0"
                     "<|tool_call_argument_begin|>",
       .call_end = "<|tool_call_end|><|tool_calls_section_end|>"},
      {.name = "deepseek",
       .marks = {"<｜tool▁call▁begin｜>"},
       .open = "<｜tool▁call▁begin｜>",
       .close = "<｜tool▁call▁end｜>",
       .make_parser = make_separated_calls,
       .dropped = {"<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"},
       .call_begin = "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>",
       .call_end = "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"},
      {.name = "seed",
       .marks = {"<seed:tool_call>", "<function="},
       .open = "<seed:tool_call>",
       .close = "</seed:tool_call>",
       .make_parser = make_function_calls},
      {.name = "qwen3-coder",
       .marks = {"<tool_call>", "<function=", "<parameter="},
       .open = "<tool_call>",
       .close = "</tool_call>",
       .make_parser = make_function_calls},
      {.name = "glm",
       .marks = {"<tool_call>", "<arg_key>"},
       .open = "<tool_call>",
       .close = "</tool_call>",
       .make_parser = make_arg_key_calls},
      {.name = "mistral-args",
       .marks = {"[TOOL_CALLS]", "[ARGS]"},
       .open = "[TOOL_CALLS]",
       .make_parser = make_mistral_calls,
       .call_begin = "[TOOL_CALLS]NAME[ARGS]",
       .id_length = 9},
      {.name = "mistral",
       .marks = {"[TOOL_CALLS]"},
       .open = "[TOOL_CALLS]",
       .make_parser = make_mistral_calls,
       .call_begin = R"([TOOL_CALLS][{"name": "NAME", "arguments": )",
       .call_end = "}]",
       .id_length = 9},
      {.name = "command-r7b",
       .marks = {"<|START_ACTION|>", "<|END_ACTION|>"},
       .open = "<|START_ACTION|>",
       .close = "<|END_ACTION|>",
       .make_parser = make_json_calls,
       .dropped = {"<|START_RESPONSE|>", "<|END_RESPONSE|>", "<|START_TEXT|>", "<|END_TEXT|>"},
       .call_begin =
           R"(<|START_ACTION|>[{"tool_call_id": "0", "tool_name": "NAME", "parameters": )",
       .call_end = "}]<|END_ACTION|>"},
      {.name = "functionary",
       .marks = {"<function=", "</function>"},
       .open = "<function=",
       .close = "</function>",
       .make_parser = make_named_calls,
       .call_begin = "<function=NAME>",
       .call_end = "</function>"},
      {.name = "nemotron",
       .marks = {"<TOOLCALL>"},
       .open = "<TOOLCALL>",
       .close = "</TOOLCALL>",
       .make_parser = make_json_calls,
       .call_begin = R"(<TOOLCALL>[{"name": "NAME", "arguments": )",
       .call_end = "}]</TOOLCALL>"},
      {.name = "tool-calls",  // Apriel, MiniMax M1
       .marks = {"<tool_calls>"},
       .open = "<tool_calls>",
       .close = "</tool_calls>",
       .make_parser = make_json_calls,
       .call_begin = R"(<tool_calls>[{"name": "NAME", "arguments": )",
       .call_end = "}]</tool_calls>"},
      {.name = "granite",
       .marks = {"<|tool_call|>"},
       .open = "<|tool_call|>",
       .make_parser = make_json_calls,
       .call_begin = R"(<|tool_call|>[{"name": "NAME", "arguments": )",
       .call_end = "}]"},
      {.name = "hermes",
       .marks = {"<tool_call>"},
       .open = "<tool_call>",
       .close = "</tool_call>",
       .make_parser = make_json_calls,
       .call_begin = "<tool_call>\n{\"name\": \"NAME\", \"arguments\": ",
       .call_end = "}\n</tool_call>"},
      {.name = "llama3",
       .marks = {"ipython"},
       .open = "<|python_tag|>",
       .make_parser = make_json_calls,
       .bare_json = true,
       .call_begin = R"({"name": "NAME", "parameters": )",
       .call_end = "}"},
      // Tools in a template that gives no format away.
      {.name = "json",
       .open = "<tool_call>",
       .close = "</tool_call>",
       .make_parser = make_json_calls,
       .bare_json = true,
       .call_begin = R"({"name": "NAME", "arguments": )",
       .call_end = "}"},
  };
  return formats;
}

}  // namespace

std::span<const ReplyFormat> reply_formats() { return table(); }

const ReplyFormat& find_reply_format(std::string_view template_source) {
  const auto has_all = [&](const ReplyFormat& format) {
    return std::ranges::all_of(format.marks, [&](std::string_view mark) {
      return template_source.find(mark) != template_source.npos;
    });
  };
  return *std::ranges::find_if(table(), has_all);
}

const ReplyFormat& reply_format(std::string_view name) {
  const auto found = std::ranges::find(table(), name, &ReplyFormat::name);
  TIDAL_CHECK(found != table().end(), "a reply format of an unknown name");
  return *found;
}

}  // namespace tidal
