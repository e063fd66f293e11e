// The messages of a request, brought into the shape that a template shows in full.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "chat/template_traits.h"

namespace tidal {

// Content that is text, as it is; the text of parts, joined; "" for null.
std::string join_parts(const nlohmann::ordered_json& content, std::string_view between);

// All content becomes text, parts in lines of their own; none stays where there are calls.
void flatten_content(nlohmann::ordered_json& messages);

// messages: of a ChatRequest, flattened.
nlohmann::ordered_json shape_messages(nlohmann::ordered_json messages,
                                      const TemplateTraits& traits);

}  // namespace tidal
