#include "jinja/text.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"

namespace tidal {

JinjaText::JinjaText(std::string bytes, bool is_content) : bytes_(std::move(bytes)) {
  if (is_content) mark(0, bytes_.size());
}

void JinjaText::mark(size_t begin, size_t end) {
  if (begin == end) return;
  if (!content_.empty() && content_.back().end == begin) {
    content_.back().end = end;
  } else {
    content_.push_back({begin, end});
  }
}

void JinjaText::append(std::string_view bytes, bool is_content) {
  const size_t begin = bytes_.size();
  bytes_.append(bytes);
  if (is_content) mark(begin, bytes_.size());
}

void JinjaText::append(const JinjaText& other, size_t begin, size_t end) {
  const size_t shift = bytes_.size();
  bytes_.append(other.bytes_, begin, end - begin);
  auto range = std::lower_bound(other.content_.begin(), other.content_.end(), begin,
                                [](const ByteRange& r, size_t at) { return r.end <= at; });
  for (; range != other.content_.end() && range->begin < end; ++range) {
    mark(shift + std::max(range->begin, begin) - begin, shift + std::min(range->end, end) - begin);
  }
}

JinjaText JinjaText::slice(size_t begin, size_t end) const {
  JinjaText result;
  result.append(*this, begin, end);
  return result;
}

namespace jinja {

size_t character_length(std::string_view text, size_t at) {
  if (static_cast<unsigned char>(text[at]) < 0x80) return 1;
  const Utf8Step step = read_utf8(text, at);
  return step.kind == Utf8Step::Kind::kCharacter ? step.length : 1;
}

char32_t code_point_at(std::string_view text, size_t at) {
  if (static_cast<unsigned char>(text[at]) < 0x80) return static_cast<unsigned char>(text[at]);
  const Utf8Step step = read_utf8(text, at);
  return step.kind == Utf8Step::Kind::kCharacter ? step.code_point : 0xFFFD;
}

size_t count_characters(std::string_view text) {
  size_t count = 0;
  for (size_t at = 0; at < text.size(); at += character_length(text, at)) ++count;
  return count;
}

std::vector<size_t> character_offsets(std::string_view text) {
  std::vector<size_t> offsets;
  for (size_t at = 0; at < text.size(); at += character_length(text, at)) offsets.push_back(at);
  offsets.push_back(text.size());
  return offsets;
}

bool is_line_break(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_space(char32_t c) {
  return is_line_break(c) || c == 0x09 || c == 0x1F || c == 0x20 || c == 0xA0 || c == 0x1680 ||
         (c >= 0x2000 && c <= 0x200A) || c == 0x202F || c == 0x205F || c == 0x3000;
}

bool is_printable(char32_t c) {
  if (c == ' ') return true;
  if (c < 0x20 || (c >= 0x7F && c < 0xA1) || c == 0xAD) return false;
  if (is_space(c)) return false;
  const bool invisible = (c >= 0x200B && c <= 0x200F) || (c >= 0x202A && c <= 0x202E) ||
                         (c >= 0x2060 && c <= 0x206F) || c == 0xFEFF || c == 0x61C || c == 0x180E;
  const bool unassigned = (c >= 0xD800 && c <= 0xF8FF) || (c >= 0xFFF0 && c <= 0xFFFB) ||
                          (c & 0xFFFE) == 0xFFFE || c >= 0xE0000;
  return !invisible && !unassigned;
}

}  // namespace jinja
}  // namespace tidal
