#include "chat/chat_prompter.h"

#include <chrono>
#include <ctime>
#include <utility>

#include "base/fail.h"
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

void append_answer(const Json& message, const ReasoningTags& tags, JinjaText& prompt) {
  const std::string content = join_parts(message["content"], "\n\n");
  const auto reasoning = message.find("reasoning_content");
  if (reasoning != message.end() && reasoning->is_string() &&
      !reasoning->get<std::string>().empty()) {
    if (!opens_reasoning(prompt.str(), tags)) prompt.append(tags.start, /*is_content=*/false);
    prompt.append(reasoning->get_ref<const std::string&>(), /*is_content=*/true);
    if (!content.empty()) prompt.append(tags.end, /*is_content=*/false);
  }
  prompt.append(content, /*is_content=*/true);
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

JinjaText ChatPrompter::render(const ChatRequest& request) const {
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
  const bool with_tools = !request.tools.is_null() && request.tool_choice != ToolChoice::kNone;
  const bool generic = with_tools && !traits_.tools;
  if (generic) {
    warn_once(said_->generic_tools,
              "the chat template knows no tools: they are described in the system message");
    describe_tools(request.tools, messages);
  } else if (with_tools) {
    options.tools = request.tools;
  }
  if (generic || !traits_.tool_calls) write_out_calls(messages);
  options.variables = request.variables;
  if (!options.variables.contains("datetime")) options.variables["datetime"] = today();
  options.add_generation_prompt = request.add_generation_prompt || request.continue_final_message;
  JinjaText text = template_.render_marked(shape_messages(std::move(messages), traits_), options);
  if (!request.enable_thinking && !traits_.follows_thinking &&
      opens_reasoning(text.str(), reasoning_)) {
    text.append(reasoning_.end, /*is_content=*/false);
  }
  if (request.continue_final_message) append_answer(answer, reasoning_, text);
  return text;
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
  const JinjaText text = render(request);
  ChatPrompt prompt;
  prompt.tokens = encode(text);
  prompt.text = text.str();
  if (!end_.empty()) prompt.stop.push_back(end_);
  return prompt;
}

}  // namespace tidal
