#include "chat/message_shape.h"

#include <cstdint>
#include <string>
#include <utility>

#include "base/json.h"
#include "tidal/error.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

// An id of nine letters and digits that follows from the client's, for templates that refuse any
// other.
std::string short_id(const std::string& id) {
  constexpr std::string_view kDigits =
      "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
  constexpr size_t kLength = 9;
  if (id.size() == kLength && id.find_first_not_of(kDigits) == std::string::npos) return id;
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  std::string result;
  for (size_t i = 0; i < kLength; ++i) {
    result += kDigits[hash % kDigits.size()];
    hash /= kDigits.size();
  }
  return result;
}

// Text of a model that is no object after all stays as it is.
Json as_object(const Json& arguments) {
  if (!arguments.is_string()) return arguments;
  const std::string& text = arguments.get_ref<const std::string&>();
  if (text.empty()) return Json::object();
  try {
    Json parsed = parse_ordered_json(text, "arguments");
    return parsed.is_object() ? parsed : arguments;
  } catch (const Error&) {
    return arguments;
  }
}

void shape_calls(Json& message, const TemplateTraits& traits) {
  for (Json& call : message["tool_calls"]) {
    Json& arguments = call["function"]["arguments"];
    if (traits.object_arguments) {
      arguments = as_object(arguments);
    } else if (!arguments.is_string()) {
      arguments = dump(arguments);
    }
    if (traits.short_call_ids) call["id"] = short_id(call.value("id", std::string()));
  }
}

// The text of the first message, of the system, goes before that of the next.
void merge_system(Json& messages) {
  if (messages.size() < 2 || messages.front()["role"] != "system") return;
  std::string text = messages[0]["content"].get<std::string>();
  Json& next = messages[1]["content"];
  if (next.is_string()) text.append("\n").append(next.get_ref<const std::string&>());
  next = std::move(text);
  messages.erase(messages.begin());
}

}  // namespace

std::string join_parts(const Json& content, std::string_view between) {
  if (content.is_string()) return content.get<std::string>();
  std::string text;
  for (const Json& part : content) {
    if (!text.empty()) text += between;
    text += part["text"].get_ref<const std::string&>();
  }
  return text;
}

void flatten_content(Json& messages) {
  for (Json& message : messages) {
    Json& content = message["content"];
    const bool silent = content.is_null() && message.contains("tool_calls");
    if (!silent) content = join_parts(content, "\n");
  }
}

Json shape_messages(Json messages, const TemplateTraits& traits) {
  if (!traits.system_role) merge_system(messages);
  for (Json& message : messages) {
    Json& content = message["content"];
    const bool has_calls = message.contains("tool_calls");
    if (has_calls && traits.none_with_calls && (content.is_null() || content == "")) {
      content = nullptr;
    } else if (content.is_null()) {
      content = "";
    }
    if (traits.parts_only && content.is_string()) {
      content = Json::array({{{"type", "text"}, {"text", content}}});
    }
    if (has_calls) shape_calls(message, traits);
    if (traits.short_call_ids && message.contains("tool_call_id") &&
        message["tool_call_id"].is_string()) {
      message["tool_call_id"] = short_id(message["tool_call_id"].get<std::string>());
    }
  }
  return messages;
}

}  // namespace tidal
