#include <string>
#include <string_view>

#include "base/json.h"
#include "server/call.h"
#include "server/convert.h"
#include "server/json_members.h"

namespace tidal::server {
namespace {

// Without lines such as "x-anthropic-billing-header: cc_version=…; cch=a1b2;".
std::string without_billing(std::string_view text) {
  constexpr std::string_view kBilling = "x-anthropic-billing-header:";
  std::string kept;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    const std::string_view line = text.substr(0, end == text.npos ? end : end + 1);
    text.remove_prefix(line.size());
    if (!line.starts_with(kBilling)) kept += line;
  }
  return kept;
}

std::string system_text(const Json& system) {
  if (system.is_string()) return without_billing(system.get_ref<const std::string&>());
  if (!system.is_array()) refuse("system", "'system' has to be a text or a list of text blocks");
  std::string text;
  for (const Json& block : system) text += without_billing(text_member(block, "text"));
  return text;
}

Json image_part(const Json& block) {
  const Json& source = member(block, "source");
  const std::string url =
      text_member(source, "type") == "url"
          ? text_member(source, "url")
          : "data:" + text_member(source, "media_type") + ";base64," + text_member(source, "data");
  return {{"type", "image_url"}, {"image_url", {{"url", url}}}};
}

// What the user or a tool gives: a text, or texts and pictures.
Json parts_of(const Json& content) {
  if (content.is_null()) return "";
  if (content.is_string()) return content;
  Json parts = Json::array();
  for (const Json& block : content) {
    const std::string type = text_member(block, "type");
    if (type == "text") parts.push_back({{"type", "text"}, {"text", text_member(block, "text")}});
    if (type == "image") parts.push_back(image_part(block));
  }
  return parts;
}

void add_user(const Json& content, Json* messages) {
  Json parts = Json::array();
  const auto end_parts = [&] {
    if (!parts.empty()) messages->push_back({{"role", "user"}, {"content", std::move(parts)}});
    parts = Json::array();
  };
  for (const Json& block : content) {
    const std::string type = text_member(block, "type");
    if (type == "text") {
      parts.push_back({{"type", "text"}, {"text", text_member(block, "text")}});
    } else if (type == "image") {
      parts.push_back(image_part(block));
    } else if (type == "tool_result") {
      end_parts();
      messages->push_back({{"role", "tool"},
                           {"tool_call_id", text_member(block, "tool_use_id")},
                           {"content", parts_of(member(block, "content"))}});
    } else if (type != "cache_control") {
      refuse("messages", "a block of the type '" + type + "' cannot be read");
    }
  }
  end_parts();
}

void add_assistant(const Json& content, Json* messages) {
  Json message = {{"role", "assistant"}, {"content", ""}};
  std::string text;
  for (const Json& block : content) {
    const std::string type = text_member(block, "type");
    if (type == "text") text += text_member(block, "text");
    if (type == "thinking") {
      message["reasoning_content"] =
          message.value("reasoning_content", "") + text_member(block, "thinking");
    }
    if (type == "tool_use") {
      const Json& input = member(block, "input");
      message["tool_calls"].push_back(
          {{"id", text_member(block, "id")},
           {"type", "function"},
           {"function",
            {{"name", text_member(block, "name")},
             {"arguments", dump(input.is_null() ? Json::object() : input)}}}});
    }
  }
  message["content"] = text;
  messages->push_back(std::move(message));
}

Json messages_of(const Json& body) {
  Json messages = Json::array();
  if (!member(body, "system").is_null()) {
    const std::string system = system_text(body["system"]);
    if (!system.empty()) messages.push_back({{"role", "system"}, {"content", system}});
  }
  const Json& list = member(body, "messages");
  if (!list.is_array()) refuse("messages", "'messages' is missing, or no list");
  for (const Json& message : list) {
    const std::string role = text_member(message, "role");
    const Json& content = member(message, "content");
    if (!content.is_array()) {
      messages.push_back({{"role", role}, {"content", text_of(content, "content")}});
    } else if (role == "assistant") {
      add_assistant(content, &messages);
    } else {
      add_user(content, &messages);
    }
  }
  if (list.empty()) messages.push_back({{"role", "user"}, {"content", ""}});
  return messages;
}

void take_tools(const Json& body, Json* chat) {
  const Json& tools = member(body, "tools");
  if (tools.is_null()) return;
  if (!tools.is_array()) refuse("tools", "'tools' has to be a list");
  (*chat)["tools"] = Json::array();
  for (const Json& tool : tools) {
    if (member(tool, "input_schema").is_null()) continue;  // one that Anthropic runs
    Json function = {{"name", text_member(tool, "name")}, {"parameters", tool["input_schema"]}};
    if (!member(tool, "description").is_null()) function["description"] = tool["description"];
    (*chat)["tools"].push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  const Json& choice = member(body, "tool_choice");
  if (choice.is_null()) return;
  const std::string type = text_member(choice, "type");
  (*chat)["tool_choice"] = type == "any" ? "required" : type;
  if (type == "tool") {
    (*chat)["tool_choice"] = {{"type", "function"},
                              {"function", {{"name", text_member(choice, "name")}}}};
  }
  const Json& alone = member(choice, "disable_parallel_tool_use");
  if (!alone.is_null()) (*chat)["parallel_tool_calls"] = !boolean_of(alone, "tool_choice");
}

}  // namespace

Json chat_from_messages(const Json& body) {
  Json chat = {{"messages", messages_of(body)}};
  take_tools(body, &chat);
  for (const char* name : {"chat_template_kwargs", "reasoning_format"}) {
    if (!member(body, name).is_null()) chat[name] = body[name];
  }
  const std::string thinking = text_member(member(body, "thinking"), "type");
  if (!thinking.empty()) chat["chat_template_kwargs"]["enable_thinking"] = thinking != "disabled";
  return chat;
}

}  // namespace tidal::server
