// UTF-8, read strictly: no overlong forms, no surrogates, nothing above U+10FFFF. Pure functions on
// views; only those returning a string allocate, none fail.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace tidal {

inline constexpr std::string_view kReplacementCharacter = "\xEF\xBF\xBD";  // U+FFFD

struct Utf8Step {
  enum class Kind { kCharacter, kMalformed, kTruncated };
  Kind kind;
  uint8_t length;       // bytes; if not a character: the longest prefix that could begin one, >= 1
  char32_t code_point;  // of a character only
};

// The character at text[at]; at < text.size(). kTruncated: the text ends inside a character.
Utf8Step read_utf8(std::string_view text, size_t at);

// Bytes of whole characters from text[at] on, up to the first byte that is not part of one.
size_t valid_utf8_length(std::string_view text, size_t at);

bool is_white_space(char32_t code_point);  // Unicode's White_Space

void append_utf8(char32_t code_point, std::string* out);

}  // namespace tidal
