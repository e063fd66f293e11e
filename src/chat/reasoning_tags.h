// What models write around their reasoning.
#pragma once

#include <string_view>

namespace tidal {

struct ReasoningTags {
  std::string_view start;
  std::string_view end;
};

// Those that a template's source mentions; the most common ones where it mentions none.
ReasoningTags find_reasoning_tags(std::string_view template_source);

// True when a prompt leaves reasoning open for the answer to go on with.
bool opens_reasoning(std::string_view prompt, const ReasoningTags& tags);

}  // namespace tidal
