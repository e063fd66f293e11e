#include "chat/generic_tools.h"

#include <fmt/format.h>

#include <string>
#include <utility>

#include "base/json.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kBefore =
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are "
    "provided with function signatures within <tools></tools> XML tags:\n<tools>";
constexpr const char* kAfter =
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments "
    "within <tool_call></tool_call> XML tags:\n<tool_call>\n{\"name\": <function-name>, "
    "\"arguments\": <args-json-object>}\n</tool_call>";

// Content is text here, or nothing.
std::string text_of(const Json& message) {
  const auto content = message.find("content");
  return content != message.end() && content->is_string() ? content->get<std::string>() : "";
}

std::string with_calls(const Json& message) {
  std::string text = text_of(message);
  for (const Json& call : message["tool_calls"]) {
    const Json& function = call["function"];
    if (!text.empty()) text += '\n';
    const Json called = {{"name", function["name"]}, {"arguments", function["arguments"]}};
    text += fmt::format("<tool_call>\n{}\n</tool_call>", dump(called));
  }
  return text;
}

}  // namespace

void describe_tools(const Json& tools, Json& messages) {
  std::string text = kBefore;
  for (const Json& tool : tools) text += fmt::format("\n{}", dump(tool));
  text += kAfter;
  if (messages.front()["role"] != "system") {
    messages.insert(messages.begin(), Json{{"role", "system"}, {"content", text}});
    return;
  }
  const std::string before = text_of(messages.front());
  messages.front()["content"] = before.empty() ? text : before + "\n\n" + text;
}

void write_out_calls(Json& messages) {
  Json result = Json::array();
  bool after_result = false;
  for (Json& message : messages) {
    const bool is_result = message["role"] == "tool";
    if (is_result) {
      const std::string text =
          fmt::format("<tool_response>\n{}\n</tool_response>", text_of(message));
      if (after_result) {
        result.back()["content"] = text_of(result.back()) + "\n" + text;
      } else {
        result.push_back({{"role", "user"}, {"content", text}});
      }
    } else {
      if (message.contains("tool_calls")) {
        message["content"] = with_calls(message);
        message.erase("tool_calls");
      }
      result.push_back(std::move(message));
    }
    after_result = is_result;
  }
  messages = std::move(result);
}

}  // namespace tidal
