// Patterns of strings in JSON schemas, as far as xgrammar holds an answer to them.
#pragma once

#include <string_view>

namespace tidal {

// What of a pattern it would leave out, or take for text in which nothing is escaped as in JSON:
// the end of a sentence about the pattern. Empty: nothing.
std::string_view fault_of_pattern(std::string_view text);

}  // namespace tidal
