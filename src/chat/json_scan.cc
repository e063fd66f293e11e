#include "chat/json_scan.h"

namespace tidal {

size_t JsonScan::find_end(std::string_view text, size_t begin) {
  while (begin + at_ < text.size()) {
    const char c = text[begin + at_++];
    if (in_string_) {
      if (escaped_) {
        escaped_ = false;
      } else if (c == '\\') {
        escaped_ = true;
      } else if (c == '"') {
        in_string_ = false;
      }
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if ((c == '}' || c == ']') && --depth_ == 0) {
      return begin + at_;
    }
  }
  return text.npos;
}

}  // namespace tidal
