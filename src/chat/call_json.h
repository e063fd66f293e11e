// Tool calls out of JSON that a model wrote.
#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "tidal/chat.h"

namespace tidal {

// Nothing where it is not valid JSON.
std::optional<nlohmann::ordered_json> read_call_json(std::string_view text);

// An object with a name and arguments, however they are spelled, or an array of such. False where
// it is something else; `calls` then stays as it was.
bool append_calls(const nlohmann::ordered_json& json, std::vector<ToolCall>& calls);

// As text, whether they came as an object or as text already.
std::string arguments_text(const nlohmann::ordered_json& arguments);

bool is_known_tool(const nlohmann::ordered_json& tools, std::string_view name);

// The schema of a tool's argument, or null.
const nlohmann::ordered_json* find_argument(const nlohmann::ordered_json& tools,
                                            std::string_view tool, const std::string& argument);

}  // namespace tidal
