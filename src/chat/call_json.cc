#include "chat/call_json.h"

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "tidal/error.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

const Json* find_any(const Json& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const auto found = object.find(key);
    if (found != object.end() && !found->is_null()) return &*found;
  }
  return nullptr;
}

bool append_call(const Json& json, std::vector<ToolCall>& calls) {
  if (!json.is_object()) return false;
  const Json* function = find_any(json, {"function"});
  const Json& body = function != nullptr && function->is_object() ? *function : json;
  const Json* name = find_any(body, {"name", "tool_name", "function"});
  if (name == nullptr || !name->is_string() || name->get_ref<const std::string&>().empty()) {
    return false;
  }
  const Json* arguments = find_any(body, {"arguments", "parameters"});
  if (arguments != nullptr && !arguments->is_object() && !arguments->is_string()) return false;
  ToolCall call;
  call.name = name->get<std::string>();
  call.arguments = arguments == nullptr ? "{}" : arguments_text(*arguments);
  if (const Json* id = find_any(json, {"id", "tool_call_id"}); id != nullptr && id->is_string()) {
    call.id = id->get<std::string>();
  }
  calls.push_back(std::move(call));
  return true;
}

}  // namespace

std::optional<Json> read_call_json(std::string_view text) {
  try {
    return parse_ordered_json(text, "a tool call");
  } catch (const Error&) {
    return std::nullopt;
  }
}

std::string arguments_text(const Json& arguments) {
  return arguments.is_string() ? arguments.get<std::string>() : dump(arguments);
}

bool append_calls(const Json& json, std::vector<ToolCall>& calls) {
  if (!json.is_array()) return append_call(json, calls);
  std::vector<ToolCall> all;
  for (const Json& item : json) {
    if (!append_call(item, all)) return false;
  }
  std::move(all.begin(), all.end(), std::back_inserter(calls));
  return !json.empty();
}

bool is_known_tool(const Json& tools, std::string_view name) {
  return std::any_of(tools.begin(), tools.end(),
                     [&](const Json& tool) { return tool["function"]["name"] == name; });
}

const Json* find_argument(const Json& tools, std::string_view tool, const std::string& argument) {
  for (const Json& known : tools) {
    const Json& function = known["function"];
    if (function["name"] != tool) continue;
    const Json* parameters = find_any(function, {"parameters"});
    const Json* properties =
        parameters == nullptr ? nullptr : find_any(*parameters, {"properties"});
    if (properties == nullptr || !properties->is_object()) return nullptr;
    return find_any(*properties, {argument.c_str()});
  }
  return nullptr;
}

}  // namespace tidal
