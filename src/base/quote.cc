#include "base/quote.h"

#include <fmt/format.h>

#include <algorithm>

namespace tidal {
namespace {

// Not for terminals: controls, and marks that reorder the surrounding text.
bool is_control(uint32_t c) {
  return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x200b && c <= 0x200f) ||
         (c >= 0x2028 && c <= 0x202e) || (c >= 0x2060 && c <= 0x206f) || c == 0xfeff;
}

// Length of the printable character that text (not empty) begins with; 0 if it begins with a
// control or invalid UTF-8.
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

// A printable character of `length` bytes, or one escaped byte if that is 0. Returns the bytes
// used.
size_t append(std::string_view text, size_t length, std::string* out) {
  if (length > 0) {
    out->append(text.substr(0, length));
  } else if (text[0] == '\n') {
    out->append("\\n");
  } else if (text[0] == '\t') {
    out->append("\\t");
  } else {
    out->append(fmt::format("\\x{:02x}", static_cast<unsigned char>(text[0])));
  }
  return std::max<size_t>(length, 1);
}

}  // namespace

std::string quote(std::string_view text, size_t max_length) {
  std::string out = "\"";
  size_t at = 0;
  while (at < text.size()) {
    const size_t length = printable_length(text.substr(at));
    if (at + std::max<size_t>(length, 1) > max_length) break;
    if (text[at] == '"' || text[at] == '\\') out += '\\';
    at += append(text.substr(at), length, &out);
  }
  return out += at < text.size() ? "\"..." : "\"";
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    at += append(text.substr(at), printable_length(text.substr(at)), &out);
  }
  return out;
}

}  // namespace tidal
