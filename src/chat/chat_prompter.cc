#include "chat/chat_prompter.h"

#include <chrono>
#include <ctime>
#include <utility>

#include "base/fail.h"
#include "base/json.h"
#include "base/log.h"
#include "chat/builtin_templates.h"
#include "chat/generic_tools.h"
#include "chat/message_shape.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

std::string piece_or_empty(const Tokenizer& tokenizer, TokenId id) {
  return id < 0 ? std::string() : std::string(tokenizer.piece(id));
}

// The day, as some templates for tools expect it.
std::string today() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  std::tm time{};
  localtime_r(&now, &time);
  char text[32];
  return {text, std::strftime(text, sizeof(text), "%b %d %Y", &time)};
}

bool has_text(const Json& message, const char* key) {
  const auto found = message.find(key);
  return found != message.end() && found->is_string() && *found != "";
}

bool wants_tools(const ChatRequest& request) {
  return !request.tools.is_null() && request.tool_choice != ToolChoice::kNone;
}

// An answer to go on with, behind the prompt.
void append_answer(const Json& message, const ReasoningTags& tags, JinjaText* prompt,
                   bool* reasoning_open) {
  const std::string content = join_parts(message["content"], "\n\n");
  if (has_text(message, "reasoning_content")) {
    if (!*reasoning_open) prompt->append(tags.start, /*is_content=*/false);
    prompt->append(message["reasoning_content"].get_ref<const std::string&>(), true);
    if (!content.empty()) prompt->append(tags.end, /*is_content=*/false);
    *reasoning_open = content.empty();
  } else if (content.find(tags.end) != std::string::npos) {
    *reasoning_open = false;
  }
  prompt->append(content, /*is_content=*/true);
}

}  // namespace

ChatPrompter::ChatPrompter(Tokenizer tokenizer, ChatTemplate chat_template)
    : tokenizer_(std::move(tokenizer)),
      template_(std::move(chat_template)),
      traits_(find_traits(template_)),
      reasoning_(find_reasoning_tags(template_.source())) {}

ChatPrompter ChatPrompter::with_template(const Tokenizer& tokenizer, std::string_view name_or_text,
                                         bool fallback) {
  const BuiltinTemplate* known = find_builtin_template(name_or_text);
  const bool is_name = name_or_text.find_first_of("{ \n") == name_or_text.npos;
  if (known == nullptr && is_name) {
    fail_option("chat_template", ErrorCode::kInvalidArgument,
                "unknown `chat_template` '{}'; available: {}, or give a template's text",
                name_or_text, builtin_template_names());
  }
  const std::string_view source = known != nullptr ? known->source : name_or_text;
  ChatPrompter prompter(tokenizer,
                        ChatTemplate::create(source, piece_or_empty(tokenizer, tokenizer.bos()),
                                             piece_or_empty(tokenizer, tokenizer.eos())));
  prompter.own_ = false;
  prompter.fallback_ = fallback;
  if (known != nullptr) {
    const auto end = tokenizer.find(known->end);
    if (!end.has_value() || !tokenizer.is_end_of_generation(*end)) prompter.end_ = known->end;
  }
  return prompter;
}

void ChatPrompter::warn_once(std::atomic_flag& said, std::string_view what) const {
  if (!said.test_and_set()) spdlog::warn("{}", what);
}

bool ChatPrompter::is_generic(const ChatRequest& request) const {
  return wants_tools(request) && !traits_.tools;
}

ChatPrompter::Rendered ChatPrompter::render(const ChatRequest& request) const {
  Json messages = request.messages;
  Json answer;
  if (request.continue_final_message) {
    answer = messages.back();
    messages.erase(messages.size() - 1);
  }
  flatten_content(messages);
  if (template_.source().find("developer") == std::string::npos) {
    for (Json& message : messages) {
      if (message["role"] == "developer") message["role"] = "system";
    }
  }
  ChatOptions options;
  options.keep_none_content = true;
  const bool generic = is_generic(request);
  if (generic) {
    warn_once(said_->generic_tools,
              "the chat template knows no tools: they are described in the system message");
    describe_tools(request.tools, messages);
  } else if (wants_tools(request)) {
    options.tools = request.tools;
  }
  if (generic || !traits_.tool_calls) write_out_calls(messages);
  options.variables = request.variables;
  if (template_.source().find("datetime") != std::string::npos) {  // Firefunction's two
    if (!options.variables.contains("datetime")) options.variables["datetime"] = today();
    if (!options.variables.contains("functions")) {
      options.variables["functions"] = request.tools.is_null() ? "" : dump(request.tools);
    }
  }
  options.add_generation_prompt = request.add_generation_prompt || request.continue_final_message;
  Rendered result;
  result.text = template_.render_marked(shape_messages(std::move(messages), traits_), options);
  result.reasoning_open = opens_reasoning(result.text.str(), reasoning_);
  if (result.reasoning_open && !request.enable_thinking && !traits_.follows_thinking) {
    result.text.append(reasoning_.end, /*is_content=*/false);
    result.reasoning_open = false;
  }
  if (request.continue_final_message) {
    append_answer(answer, reasoning_, &result.text, &result.reasoning_open);
  }
  return result;
}

SyntaxData ChatPrompter::syntax(const ChatRequest& request, bool reasoning_open) const {
  SyntaxData syntax;
  syntax.format =
      is_generic(request) ? &reply_format("hermes") : &find_reply_format(template_.source());
  syntax.reasoning = reasoning_;
  syntax.split_reasoning = request.reasoning_format != ReasoningFormat::kNone;
  syntax.reasoning_open = reasoning_open;
  syntax.parallel_calls = request.parallel_tool_calls;
  if (wants_tools(request)) syntax.tools = request.tools;
  return syntax;
}

std::vector<TokenId> ChatPrompter::encode(const JinjaText& text) const {
  std::vector<TokenId> tokens = tokenizer_.encode_prompt(text);
  const TokenId bos = tokenizer_.bos();
  if (!own_ && tokenizer_.adds_bos() && (tokens.empty() || tokens.front() != bos)) {
    tokens.insert(tokens.begin(), bos);
  }
  return tokens;
}

ChatPrompt ChatPrompter::prompt(const ChatRequest& request) const {
  if (fallback_) {
    warn_once(said_->fallback,
              "the model brings no chat template: ChatML is taken (option chat_template)");
  }
  const Rendered rendered = render(request);
  ChatPrompt prompt;
  prompt.tokens = encode(rendered.text);
  prompt.text = rendered.text.str();
  if (!end_.empty()) prompt.stop.push_back(end_);
  const auto data = std::make_shared<const SyntaxData>(syntax(request, rendered.reasoning_open));
  for (const std::string_view tag : tags_of(*data)) {
    const auto token = tokenizer_.find(tag);
    if (token.has_value() && tokenizer_.is_control(*token)) prompt.keep_special = true;
  }
  for (const std::string_view tag : data->format->ends) {
    const auto token = tokenizer_.find(tag);
    if (!token.has_value() || !tokenizer_.is_end_of_generation(*token)) {
      prompt.stop.emplace_back(tag);
    }
  }
  if (request.tool_choice == ToolChoice::kRequired) {
    prompt.structural_tag = required_calls(*data, request.tool_name);
  }
  prompt.syntax = ChatSyntax(data);
  return prompt;
}

}  // namespace tidal
