#include "chat/chat_request.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/fail.h"
#include "base/json.h"
#include "base/quote.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

template <typename... Args>
[[noreturn]] void refuse(std::string_view field, fmt::format_string<Args...> format,
                         Args&&... args) {
  fail_option(field, ErrorCode::kInvalidArgument, format, std::forward<Args>(args)...);
}

// A member that is there and not null.
const Json* find(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

const Json& require(const Json& object, const char* key, std::string_view field,
                    const std::string& where) {
  const Json* found = find(object, key);
  if (found == nullptr) refuse(field, "{} has no {}", where, key);
  return *found;
}

const std::string& as_text(const Json& value, std::string_view field, const std::string& where) {
  if (!value.is_string()) refuse(field, "{} is a {}, not text", where, value.type_name());
  return value.get_ref<const std::string&>();
}

void require_object(const Json& value, std::string_view field, const std::string& where) {
  if (!value.is_object()) refuse(field, "{} is a {}, not an object", where, value.type_name());
}

void require_array(const Json& value, std::string_view field, const std::string& where) {
  if (!value.is_array()) refuse(field, "{} is a {}, not an array", where, value.type_name());
}

bool as_bool(const Json& body, const char* field, bool otherwise) {
  const Json* value = find(body, field);
  if (value == nullptr) return otherwise;
  if (!value->is_boolean()) {
    refuse(field, "`{}` is a {}, not true or false", field, value->type_name());
  }
  return value->get<bool>();
}

constexpr const char* kMessages = "messages";

Json checked_content(const Json& content, const std::string& where) {
  if (content.is_string() || content.is_null()) return content;
  if (!content.is_array()) {
    refuse(kMessages, "{} is a {}, not text or an array of parts", where, content.type_name());
  }
  Json parts = Json::array();
  for (size_t i = 0; i < content.size(); ++i) {
    const std::string at = fmt::format("{}[{}]", where, i);
    require_object(content[i], kMessages, at);
    const std::string& type =
        as_text(require(content[i], "type", kMessages, at), kMessages, at + ".type");
    if (type != "text") {
      refuse(kMessages, "{}: {} is not supported, this server takes text only", at, quote(type));
    }
    parts.push_back(
        {{"type", "text"},
         {"text", as_text(require(content[i], "text", kMessages, at), kMessages, at + ".text")}});
  }
  return parts;
}

Json checked_call(const Json& call, const std::string& where) {
  require_object(call, kMessages, where);
  if (const Json* type = find(call, "type");
      type != nullptr && as_text(*type, kMessages, where + ".type") != "function") {
    refuse(kMessages, "{}.type is {}, not \"function\"", where, quote(type->get<std::string>()));
  }
  const std::string at = where + ".function";
  const Json& function = require(call, "function", kMessages, where);
  require_object(function, kMessages, at);
  const std::string& name =
      as_text(require(function, "name", kMessages, at), kMessages, at + ".name");
  const Json* arguments = find(function, "arguments");
  if (arguments != nullptr && !arguments->is_string() && !arguments->is_object()) {
    refuse(kMessages, "{}.arguments is a {}, not text or an object", at, arguments->type_name());
  }
  Json result = Json::object();
  if (const Json* id = find(call, "id")) result["id"] = as_text(*id, kMessages, where + ".id");
  result["type"] = "function";
  result["function"] = {{"name", name},
                        {"arguments", arguments != nullptr ? *arguments : Json::object()}};
  return result;
}

Json checked_message(const Json& message, const std::string& where) {
  require_object(message, kMessages, where);
  const std::string& role =
      as_text(require(message, "role", kMessages, where), kMessages, where + ".role");
  constexpr std::array kRoles{"system", "developer", "user", "assistant", "tool"};
  if (std::find(kRoles.begin(), kRoles.end(), role) == kRoles.end()) {
    refuse(kMessages, "{}.role is {}; available: {}", where, quote(role),
           "system, developer, user, assistant, tool");
  }
  for (const char* key : {"name", "tool_call_id", "reasoning_content", "reasoning", "thinking"}) {
    if (const Json* value = find(message, key)) as_text(*value, kMessages, where + "." + key);
  }
  Json result = message;
  const Json* calls = find(message, "tool_calls");
  result.erase("tool_calls");
  if (calls != nullptr) {
    require_array(*calls, kMessages, where + ".tool_calls");
    if (role != "assistant" && !calls->empty()) {
      refuse(kMessages, "{} has tool_calls, but its role is {}", where, role);
    }
    for (size_t i = 0; i < calls->size(); ++i) {
      result["tool_calls"].push_back(
          checked_call((*calls)[i], fmt::format("{}.tool_calls[{}]", where, i)));
    }
  }
  const bool may_be_silent = role == "assistant" && (result.contains("tool_calls") ||
                                                     find(message, "reasoning_content") != nullptr);
  if (!message.contains("content") && !may_be_silent) {
    refuse(kMessages, "{} has no content", where);
  }
  result["content"] = message.contains("content")
                          ? checked_content(message["content"], where + ".content")
                          : Json();
  return result;
}

Json checked_messages(const Json& body) {
  const Json* messages = find(body, kMessages);
  if (messages == nullptr) refuse(kMessages, "the request has no `messages`");
  require_array(*messages, kMessages, "`messages`");
  if (messages->empty()) refuse(kMessages, "`messages` is empty, give at least one");
  Json result = Json::array();
  for (size_t i = 0; i < messages->size(); ++i) {
    result.push_back(checked_message((*messages)[i], fmt::format("messages[{}]", i)));
  }
  return result;
}

Json checked_tools(const Json& body) {
  const Json* tools = find(body, "tools");
  if (tools == nullptr) return Json();
  require_array(*tools, "tools", "`tools`");
  for (size_t i = 0; i < tools->size(); ++i) {
    const std::string where = fmt::format("tools[{}]", i);
    const Json& tool = (*tools)[i];
    require_object(tool, "tools", where);
    const std::string& type =
        as_text(require(tool, "type", "tools", where), "tools", where + ".type");
    if (type != "function") {
      refuse("tools", "{}.type is {}, this server knows \"function\" only", where, quote(type));
    }
    const std::string at = where + ".function";
    const Json& function = require(tool, "function", "tools", where);
    require_object(function, "tools", at);
    const std::string& name =
        as_text(require(function, "name", "tools", at), "tools", at + ".name");
    if (name.empty()) refuse("tools", "{}.name is empty", at);
    if (const Json* text = find(function, "description")) {
      as_text(*text, "tools", at + ".description");
    }
    if (const Json* parameters = find(function, "parameters")) {
      require_object(*parameters, "tools", at + ".parameters");
    }
  }
  return tools->empty() ? Json() : *tools;
}

bool has_tool(const Json& tools, const std::string& name) {
  return std::any_of(tools.begin(), tools.end(),
                     [&](const Json& tool) { return tool["function"]["name"] == name; });
}

void read_tool_choice(const Json& body, ChatRequest& request) {
  constexpr const char* kField = "tool_choice";
  const Json* choice = find(body, kField);
  if (choice == nullptr) return;
  if (choice->is_string()) {
    const std::string& word = choice->get_ref<const std::string&>();
    if (word != "none" && word != "auto" && word != "required") {
      refuse(kField, "unknown `tool_choice` {}; available: none, auto, required, or a function",
             quote(word));
    }
    request.tool_choice = word == "none"   ? ToolChoice::kNone
                          : word == "auto" ? ToolChoice::kAuto
                                           : ToolChoice::kRequired;
  } else {
    require_object(*choice, kField, "`tool_choice`");
    const std::string& type =
        as_text(require(*choice, "type", kField, kField), kField, "tool_choice.type");
    if (type != "function") {
      refuse(kField, "tool_choice.type is {}, this server knows \"function\" only", quote(type));
    }
    const Json& function = require(*choice, "function", kField, kField);
    require_object(function, kField, "tool_choice.function");
    request.tool_choice = ToolChoice::kRequired;
    request.tool_name = as_text(require(function, "name", kField, "tool_choice.function"), kField,
                                "tool_choice.function.name");
    if (!has_tool(request.tools, request.tool_name)) {
      refuse(kField, "`tool_choice` names the function {}, which is not in `tools`",
             quote(request.tool_name));
    }
  }
  if (request.tool_choice == ToolChoice::kRequired && request.tools.is_null()) {
    refuse(kField, "`tool_choice` requires a call, but there are no `tools`");
  }
}

void read_variables(const Json& body, ChatRequest& request) {
  constexpr const char* kField = "chat_template_kwargs";
  if (const Json* variables = find(body, kField)) {
    require_object(*variables, kField, "`chat_template_kwargs`");
    for (const char* taken : {"messages", "tools", "add_generation_prompt"}) {
      if (variables->contains(taken)) {
        refuse(kField, "chat_template_kwargs.{} would replace the request's own `{}`", taken,
               taken);
      }
    }
    request.variables.update(*variables);
    if (const Json* thinking = find(*variables, "enable_thinking")) {
      if (!thinking->is_boolean()) {
        refuse(kField, "chat_template_kwargs.enable_thinking is a {}, not true or false",
               thinking->type_name());
      }
      request.enable_thinking = thinking->get<bool>();
    }
  }
  if (const Json* effort = find(body, "reasoning_effort")) {
    const std::string& word = as_text(*effort, "reasoning_effort", "`reasoning_effort`");
    if (word == "none") request.enable_thinking = false;
    request.variables["reasoning_effort"] = word;
  }
  request.variables["enable_thinking"] = request.enable_thinking;
}

// "content" and "reasoning_content" say as well what is to be gone on with, which shows in the
// message anyway.
bool continues(const Json& value) {
  if (value.is_boolean()) return value.get<bool>();
  if (value != "content" && value != "reasoning_content") {
    refuse("continue_final_message", "`continue_final_message` is not true or false");
  }
  return true;
}

void read_continuation(const Json& body, ChatRequest& request) {
  constexpr const char* kField = "continue_final_message";
  const Json& last = request.messages.back();
  const bool is_assistant = last["role"] == "assistant";
  const bool closed = body.contains("add_generation_prompt") && !request.add_generation_prompt;
  const Json* value = find(body, kField);
  if (value == nullptr) {
    request.continue_final_message = is_assistant && !closed && !last.contains("tool_calls");
  } else if (continues(*value)) {
    if (find(body, "add_generation_prompt") != nullptr && request.add_generation_prompt) {
      refuse(kField, "`continue_final_message` and `add_generation_prompt` exclude each other");
    }
    if (!is_assistant || last.contains("tool_calls")) {
      refuse(kField, "`continue_final_message` needs a last message of the assistant, in text");
    }
    request.continue_final_message = true;
  }
  const size_t n = request.messages.size();
  if (request.continue_final_message && n == 1) {
    refuse(kMessages, "`messages` has an answer to go on with, but nothing that it answers");
  }
  if (request.continue_final_message && n > 1 && request.messages[n - 2]["role"] == "assistant") {
    refuse(kMessages, "`messages` ends with two messages of the assistant: join them");
  }
}

ReasoningFormat read_reasoning_format(const Json& body) {
  constexpr const char* kField = "reasoning_format";
  const Json* value = find(body, kField);
  if (value == nullptr || *value == "auto") return ReasoningFormat::kAuto;
  if (*value == "none") return ReasoningFormat::kNone;
  if (*value == "deepseek") return ReasoningFormat::kDeepSeek;
  refuse(kField, "unknown `reasoning_format` {}; available: none, deepseek, auto", dump(*value));
}

Json parse_body(std::string_view json) {
  try {
    return parse_ordered_json(json, "the request");
  } catch (const Error& error) {
    throw Error(ErrorCode::kInvalidArgument, error.what());
  }
}

}  // namespace

ChatRequest parse_chat_request(std::string_view json) {
  const Json body = parse_body(json);
  if (!body.is_object()) {
    fail(ErrorCode::kInvalidArgument, "the request is a {}, not an object", body.type_name());
  }
  ChatRequest request;
  request.messages = checked_messages(body);
  request.tools = checked_tools(body);
  read_tool_choice(body, request);
  request.parallel_tool_calls = as_bool(body, "parallel_tool_calls", true);
  request.add_generation_prompt = as_bool(body, "add_generation_prompt", true);
  read_variables(body, request);
  read_continuation(body, request);
  request.reasoning_format = read_reasoning_format(body);
  return request;
}

}  // namespace tidal
