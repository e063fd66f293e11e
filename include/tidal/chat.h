// Chat: a conversation in the shape of the OpenAI API becomes a prompt, and what a model answers
// becomes content, reasoning and tool calls, whatever its format.
//
//   tidal::ChatPrompt prompt = engine.chat_prompt(R"({"messages": [...], "tools": [...]})");
//   request.prompt = prompt.tokens;
//   request.keep_special = prompt.keep_special;
//   tidal::ChatReader reader(prompt.syntax);
//   request.on_token = [&](const tidal::TokenEvent& event) { show(reader.push(event.text)); };
//   ...
//   show(reader.finish());
//
// Of the request messages, tools, tool_choice, parallel_tool_calls, chat_template_kwargs,
// reasoning_effort, reasoning_format, add_generation_prompt and continue_final_message are read.
// One that is wrong is an Error(kInvalidArgument) whose option is its name.
//
// A reader throws nothing over what a model writes: what it cannot read stays content, and the
// reply's warning says so. Readers belong to one thread each.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tidal/export.h"

namespace tidal {

struct SyntaxData;
class ReplyParser;

// How an answer is to be read. A value; plain text unless it came with a prompt.
class TIDAL_EXPORT ChatSyntax {
 public:
  ChatSyntax() = default;
  explicit ChatSyntax(std::shared_ptr<const SyntaxData> data) : data_(std::move(data)) {}
  const std::shared_ptr<const SyntaxData>& data() const { return data_; }
  std::string_view name() const;  // of the format: "hermes", "mistral", ...; "" for plain text

 private:
  std::shared_ptr<const SyntaxData> data_;
};

struct ChatPrompt {
  std::vector<int32_t> tokens;
  std::string text;               // the same before it is cut into tokens
  std::vector<std::string> stop;  // what ends the answer where no token of the model does
  ChatSyntax syntax;
  bool keep_special = false;   // Request::keep_special: tags of the format are control tokens
  std::string structural_tag;  // grammar of the calls that tool_choice requires, or empty
};

struct ToolCall {
  std::string id;  // 32 random letters and digits, or what the format gives
  std::string name;
  std::string arguments;  // JSON
};

struct ChatReply {
  std::string content;
  std::string reasoning;
  std::vector<ToolCall> tool_calls;
  std::string warning;  // what could not be read as it was meant, or empty
};

struct ToolCallDelta {
  int index = 0;
  std::string id;  // in the first fragment of a call only, as the name
  std::string name;
  std::string arguments;
};

struct ChatDelta {
  std::string content;
  std::string reasoning;
  std::vector<ToolCallDelta> tool_calls;
  bool empty() const { return content.empty() && reasoning.empty() && tool_calls.empty(); }
};

class TIDAL_EXPORT ChatReader {
 public:
  explicit ChatReader(const ChatSyntax& syntax);
  ~ChatReader();
  ChatReader(ChatReader&&) noexcept;
  ChatReader& operator=(ChatReader&&) noexcept;

  // What has become certain with this text. A call comes as a whole.
  ChatDelta push(std::string_view text);
  ChatDelta finish();  // no more text comes
  // True when more text would not matter: the one call that was allowed has come.
  bool done() const;
  // All deltas so far, joined.
  const ChatReply& reply() const { return reply_; }

 private:
  ChatDelta join(ChatDelta delta);

  ChatSyntax syntax_;
  std::unique_ptr<ReplyParser> parser_;
  ChatReply reply_;
};

}  // namespace tidal
