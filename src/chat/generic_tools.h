// Tools for templates that know none: described in the system message, called and answered in plain
// text, the way Hermes and Qwen models do it.
#pragma once

#include <nlohmann/json.hpp>

namespace tidal {

// Appends to the first message, which becomes one of the system if it is none.
void describe_tools(const nlohmann::ordered_json& tools, nlohmann::ordered_json& messages);

// Calls become text of their message, and results a message of the user.
void write_out_calls(nlohmann::ordered_json& messages);

}  // namespace tidal
