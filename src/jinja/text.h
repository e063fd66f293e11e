// Text that remembers which of its bytes came from content (messages, tools: anything a user may
// have written) and which from the template. Cutting and joining keep the marks byte for byte;
// other rewriting marks all of its result if any of its input was content. A value type; the
// functions are pure. Text is bytes that should be UTF-8: a byte that is not part of a character
// counts as one.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace tidal {

struct ByteRange {
  size_t begin;
  size_t end;
  bool operator==(const ByteRange&) const = default;
};

class JinjaText {
 public:
  JinjaText() = default;
  JinjaText(std::string bytes, bool is_content);

  const std::string& str() const { return bytes_; }
  size_t size() const { return bytes_.size(); }
  bool empty() const { return bytes_.empty(); }
  bool has_content() const { return !content_.empty(); }
  // Ascending, disjoint, never touching.
  const std::vector<ByteRange>& content() const { return content_; }

  // Python's Markup, which the filter `safe` makes: what is added to it with + gets escaped. Copies
  // keep this, other operations make plain text.
  bool is_safe() const { return safe_; }
  void set_safe() { safe_ = true; }

  void append(std::string_view bytes, bool is_content);
  void append(const JinjaText& other) { append(other, 0, other.size()); }
  void append(const JinjaText& other, size_t begin, size_t end);
  JinjaText slice(size_t begin, size_t end) const;  // byte offsets

 private:
  void mark(size_t begin, size_t end);

  std::string bytes_;
  std::vector<ByteRange> content_;
  bool safe_ = false;
};

namespace jinja {

// Bytes of the character at text[at]; at < text.size().
size_t character_length(std::string_view text, size_t at);
size_t count_characters(std::string_view text);
// Byte offset of every character, and the text's size last. [count_characters + 1]
std::vector<size_t> character_offsets(std::string_view text);
// Its code point, or U+FFFD if the byte is not part of a character.
char32_t code_point_at(std::string_view text, size_t at);

bool is_space(char32_t c);       // like Python's str.isspace
bool is_line_break(char32_t c);  // like Python's str.splitlines
bool is_printable(char32_t c);   // close to Python's str.isprintable: what repr() shows unescaped

}  // namespace jinja
}  // namespace tidal
