#include "text/chat_template.h"

#include <algorithm>
#include <utility>

#include "base/fail.h"
#include "jinja/run.h"

namespace tidal {
namespace {

using jinja::Run;
using jinja::Value;
using Json = nlohmann::ordered_json;
using Entries = std::vector<std::pair<Value, Value>>;

constexpr std::string_view kContextName = "the messages, tools and variables of the chat";

bool is_plain_word(const std::string& role) {
  constexpr size_t kLongest = 32;
  const auto is_word_byte = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
  };
  return role.size() <= kLongest && std::all_of(role.begin(), role.end(), is_word_byte);
}

// Reasoning has several names; templates read the first, a few the second.
const Json* find_reasoning(const Json& message) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const auto found = message.find(name);
    if (found != message.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

void set_entry(Run& run, Entries* entries, std::string_view name, Value value) {
  const auto same = std::find_if(entries->begin(), entries->end(),
                                 [&](const auto& entry) { return entry.first.str() == name; });
  if (same != entries->end()) {
    same->second = std::move(value);
  } else {
    entries->emplace_back(run.text(std::string(name), true), std::move(value));
  }
}

Value convert_message(Run& run, const Json& message, bool keep_none_content) {
  if (!message.is_object()) run.error("a message is a {}, not an object", message.type_name());
  Entries entries;
  const Json* reasoning = find_reasoning(message);
  if (reasoning != nullptr && message.value("thinking", Json()).is_null()) {
    set_entry(run, &entries, "thinking", from_json(run, *reasoning, true));
  }
  for (const auto& [key, value] : message.items()) {
    // transformers drops these: templates would print "None"
    if (value.is_null() && !(keep_none_content && key == "content")) continue;
    const bool is_role =
        key == "role" && value.is_string() && is_plain_word(value.get_ref<const std::string&>());
    entries.emplace_back(run.text(key, true), from_json(run, value, !is_role));
  }
  if (reasoning != nullptr) {
    set_entry(run, &entries, "reasoning_content", from_json(run, *reasoning, true));
  }
  return run.dict(std::move(entries));
}

Json to_json_messages(std::span<const ChatMessage> messages) {
  Json array = Json::array();
  for (const ChatMessage& message : messages) {
    array.push_back({{"role", message.role}, {"content", message.content}});
  }
  return array;
}

}  // namespace

ChatTemplate::ChatTemplate(std::string_view source, std::string bos_piece, std::string eos_piece)
    : source_(std::make_shared<const std::string>(source)),
      jinja_(JinjaTemplate::parse(source)),
      bos_piece_(std::move(bos_piece)),
      eos_piece_(std::move(eos_piece)) {}

ChatTemplate ChatTemplate::create(std::string_view source, std::string bos_piece,
                                  std::string eos_piece) {
  return ChatTemplate(source, std::move(bos_piece), std::move(eos_piece));
}

std::string ChatTemplate::render(std::span<const ChatMessage> messages,
                                 bool add_generation_prompt) const {
  return render_marked(messages, add_generation_prompt).str();
}

std::string ChatTemplate::render(const nlohmann::ordered_json& messages,
                                 const ChatOptions& options) const {
  return render_marked(messages, options).str();
}

JinjaText ChatTemplate::render_marked(std::span<const ChatMessage> messages,
                                      bool add_generation_prompt) const {
  ChatOptions options;
  options.add_generation_prompt = add_generation_prompt;
  return render_marked(to_json_messages(messages), options);
}

JinjaText ChatTemplate::render_marked(const nlohmann::ordered_json& messages,
                                      const ChatOptions& options) const {
  Run run(kContextName, options.jinja);
  if (!messages.is_array()) run.error("the messages are a {}, not an array", messages.type_name());
  if (messages.empty()) run.error("the conversation has no messages");
  std::vector<Value> converted;
  for (const Json& message : messages) {
    converted.push_back(convert_message(run, message, options.keep_none_content));
  }

  Entries variables;
  set_entry(run, &variables, "messages", run.list(std::move(converted)));
  set_entry(run, &variables, "tools", from_json(run, options.tools, true));
  set_entry(run, &variables, "documents", Value::none());
  set_entry(run, &variables, "add_generation_prompt", Value(options.add_generation_prompt));
  if (!bos_piece_.empty()) set_entry(run, &variables, "bos_token", run.text(bos_piece_, false));
  if (!eos_piece_.empty()) set_entry(run, &variables, "eos_token", run.text(eos_piece_, false));
  if (!options.variables.is_null()) {
    if (!options.variables.is_object()) run.error("the variables are not an object");
    for (const auto& [name, value] : options.variables.items()) {
      set_entry(run, &variables, name, from_json(run, value, true));
    }
  }
  return jinja_.render_marked(run.dict(std::move(variables)).as_dict(), options.jinja);
}

}  // namespace tidal
