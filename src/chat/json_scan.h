// JsonScan: finds where a JSON object or array ends in text that is still coming, byte by byte.
#pragma once

#include <cstddef>
#include <string_view>

namespace tidal {

class JsonScan {
 public:
  // text: grows from call to call; text[begin] is '{' or '['. The offset behind the end of the
  // value, or npos while it is open.
  size_t find_end(std::string_view text, size_t begin);

 private:
  size_t at_ = 0;  // looked at, from `begin` on
  size_t depth_ = 0;
  bool in_string_ = false;
  bool escaped_ = false;
};

}  // namespace tidal
