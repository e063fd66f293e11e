#include "engine/json_pattern.h"

#include <cstddef>

namespace tidal {

std::string_view fault_of_pattern(std::string_view text) {
  constexpr size_t kMostRepeats = 128;
  bool in_class = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c < 0x20 || c > 0x7e) return "has characters beyond ASCII: write them as \\u and digits";
    if (c == '[') in_class = true;
    if (c == ']') in_class = false;
    const char next = i + 1 < text.size() ? text[i + 1] : ' ';
    const bool escaped = c == '\\';
    if (escaped) ++i;  // whatever follows it
    if (in_class) continue;
    if (c == '"' ||
        (escaped && std::string_view("\"\\nrtfv0cx").find(next) != std::string_view::npos)) {
      return "wants a character that stands escaped in JSON, which is not supported";
    }
    if (escaped) continue;
    const std::string_view ahead = text.substr(i, 3);
    if (ahead == "(?=" || ahead == "(?!") return "looks ahead, which is not supported";
    for (size_t at = i + 1, count = 0; c == '{' && at < text.size() && text[at] != '}'; ++at) {
      const bool is_digit = text[at] >= '0' && text[at] <= '9';
      count = is_digit ? 10 * count + static_cast<size_t>(text[at] - '0') : 0;
      if (count > kMostRepeats) return "counts beyond 128, which is not supported";
    }
  }
  return {};
}

}  // namespace tidal
