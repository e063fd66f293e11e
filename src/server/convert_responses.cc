#include <string>

#include "server/call.h"
#include "server/convert.h"
#include "server/json_members.h"

namespace tidal::server {
namespace {

// A text, or parts of input_text, output_text and what else there is, as chat's parts.
Json content_of(const Json& content) {
  if (!content.is_array()) return content;
  Json parts = Json::array();
  for (const Json& part : content) {
    const std::string type = text_member(part, "type");
    if (type == "input_text" || type == "output_text" || type == "text") {
      parts.push_back({{"type", "text"}, {"text", text_member(part, "text")}});
    } else if (type == "refusal") {
      parts.push_back({{"type", "text"}, {"text", text_member(part, "refusal")}});
    } else if (type == "input_image") {
      parts.push_back({{"type", "image_url"}, {"image_url", member(part, "image_url")}});
    } else {
      refuse("input", "a part of 'input' has the type '" + type + "', which cannot be read");
    }
  }
  return parts;
}

class ItemReader {
 public:
  void add(const Json& item) {
    if (!item.is_object()) refuse("input", "an item of 'input' has to be an object");
    const std::string type = item.contains("type") ? text_member(item, "type") : "message";
    if (type == "message") return add_message(item);
    if (type == "function_call") return add_call(item);
    if (type == "function_call_output") return add_output(item);
    if (type == "reasoning") return add_reasoning(item);
    if (type == "item_reference") {
      refuse("input", "'item_reference' names what this server does not keep: send the item");
    }
  }
  Json take() { return std::move(messages_); }
  void system(const std::string& text) {
    messages_.push_back({{"role", "system"}, {"content", text}});
  }

 private:
  void add_message(const Json& item) {
    std::string role = text_member(item, "role");
    if (role == "developer") role = "system";
    Json message = {{"role", role}, {"content", content_of(member(item, "content"))}};
    if (role == "assistant" && !reasoning_.empty()) {
      message["reasoning_content"] = std::exchange(reasoning_, {});
    }
    messages_.push_back(std::move(message));
  }

  // Calls that follow one another are one message.
  void add_call(const Json& item) {
    const bool joins = !messages_.empty() && messages_.back()["role"] == "assistant" &&
                       messages_.back().contains("tool_calls");
    if (!joins) {
      Json message = {{"role", "assistant"}, {"content", ""}, {"tool_calls", Json::array()}};
      if (!reasoning_.empty()) message["reasoning_content"] = std::exchange(reasoning_, {});
      messages_.push_back(std::move(message));
    }
    messages_.back()["tool_calls"].push_back(
        {{"id", text_member(item, "call_id")},
         {"type", "function"},
         {"function",
          {{"name", text_member(item, "name")}, {"arguments", text_member(item, "arguments")}}}});
  }

  void add_output(const Json& item) {
    messages_.push_back({{"role", "tool"},
                         {"tool_call_id", text_member(item, "call_id")},
                         {"content", content_of(member(item, "output"))}});
  }

  void add_reasoning(const Json& item) {
    for (const char* name : {"content", "summary"}) {
      const Json& parts = member(item, name);
      if (!parts.is_array() || !reasoning_.empty()) continue;
      for (const Json& part : parts) reasoning_ += text_member(part, "text");
    }
  }

  Json messages_ = Json::array();
  std::string reasoning_;  // goes into the message that follows it
};

Json tools_of(const Json& tools) {
  Json functions = Json::array();
  if (!tools.is_array()) refuse("tools", "'tools' has to be a list");
  for (const Json& tool : tools) {
    if (text_member(tool, "type") != "function") continue;
    Json function = {{"name", text_member(tool, "name")}};
    for (const char* name : {"description", "parameters", "strict"}) {
      if (!member(tool, name).is_null()) function[name] = tool[name];
    }
    functions.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  return functions;
}

}  // namespace

Json chat_from_responses(const Json& body) {
  if (!member(body, "previous_response_id").is_null()) {
    refuse("previous_response_id", "this server keeps no responses: send the whole conversation");
  }
  ItemReader items;
  const std::string instructions = text_member(body, "instructions");
  if (!instructions.empty()) items.system(instructions);
  const Json& input = member(body, "input");
  if (input.is_string()) {
    items.add({{"role", "user"}, {"content", input}});
  } else if (input.is_array()) {
    for (const Json& item : input) items.add(item);
  } else {
    refuse("input", "'input' is missing: give a text or a list of items");
  }
  Json chat = {{"messages", items.take()}};
  if (!member(body, "tools").is_null()) chat["tools"] = tools_of(body["tools"]);
  const Json& choice = member(body, "tool_choice");
  if (choice.is_object() && text_member(choice, "type") == "function") {
    chat["tool_choice"] = {{"type", "function"},
                           {"function", {{"name", text_member(choice, "name")}}}};
  } else if (choice.is_string()) {
    chat["tool_choice"] = choice;
  }
  const Json& effort = member(member(body, "reasoning"), "effort");
  if (!effort.is_null()) chat["reasoning_effort"] = effort;
  for (const char* name : {"parallel_tool_calls", "chat_template_kwargs", "reasoning_format"}) {
    if (!member(body, name).is_null()) chat[name] = body[name];
  }
  return chat;
}

}  // namespace tidal::server
