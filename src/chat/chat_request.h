// ChatRequest: the body of a chat request, checked field by field.
//
// Untrusted. Errors are Error(kInvalidArgument) whose option is the field at fault; messages say
// where in it. Fields that say nothing about the prompt or how the answer is read are ignored.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace tidal {

enum class ToolChoice { kNone, kAuto, kRequired };
enum class ReasoningFormat { kAuto, kNone, kDeepSeek };

struct ChatRequest {
  using Json = nlohmann::ordered_json;

  // Objects whose role is known and whose content is text, an array of text parts or null; tool
  // calls have a name, and arguments that are text or an object.
  Json messages = Json::array();
  Json tools;  // an array of functions, or null
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string tool_name;  // the one that must be called, or empty
  bool parallel_tool_calls = true;
  Json variables = {{"enable_thinking", true}};  // for the template
  bool enable_thinking = true;
  bool add_generation_prompt = true;
  bool continue_final_message = false;  // the last message, an assistant's, is to be gone on with
  ReasoningFormat reasoning_format = ReasoningFormat::kAuto;
};

ChatRequest parse_chat_request(std::string_view json);

}  // namespace tidal
