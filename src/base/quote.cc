#include "base/quote.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidal {
namespace {

// Not for terminals: controls, and the marks that reorder what stands around them.
bool is_control(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

// Bytes of the printable character that text, which is not empty, begins with; 0 when it begins
// with a control or with no valid UTF-8.
size_t printable_length(std::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  const size_t length = first < 0x80   ? 1
                        : first < 0xc2 ? 0
                        : first < 0xe0 ? 2
                        : first < 0xf0 ? 3
                        : first < 0xf5 ? 4
                                       : 0;
  if (length == 0 || length > text.size()) return 0;
  uint32_t c = length == 1 ? first : first & (0x7fu >> length);
  for (size_t i = 1; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if ((byte & 0xc0) != 0x80) return 0;
    c = c << 6 | (byte & 0x3f);
  }
  constexpr uint32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (c < kSmallest[length] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000)) return 0;
  return is_control(c) ? 0 : length;
}

}  // namespace

std::string quote(std::string_view text, size_t max_length) {
  std::string out = "\"";
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = printable_length(text.substr(at));
    const size_t next = at + std::max<size_t>(length, 1);
    if (next > max_length) break;
    const auto byte = static_cast<unsigned char>(text[at]);
    if (byte == '"' || byte == '\\') {
      out += {'\\', text[at]};
    } else if (length > 0) {
      out += text.substr(at, length);
    } else if (byte == '\n') {
      out += "\\n";
    } else if (byte == '\t') {
      out += "\\t";
    } else {
      out += fmt::format("\\x{:02x}", byte);
    }
    at = next;
  }
  return out += at < text.size() ? "\"..." : "\"";
}

}  // namespace tidal
