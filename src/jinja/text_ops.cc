#include "jinja/text_ops.h"

#include <locale.h>

#include <algorithm>
#include <cstring>
#include <cwctype>

#include "base/utf8.h"

namespace tidal::jinja {
namespace {

bool is_member(const std::string& characters, const std::string& text, size_t at, size_t n) {
  for (size_t i = 0; i < characters.size();) {
    const size_t length = character_length(characters, i);
    if (length == n && characters.compare(i, length, text, at, n) == 0) return true;
    i += length;
  }
  return false;
}

size_t previous_character(const std::string& text, size_t end) {
  size_t begin = end - 1;
  while (begin > 0 && end - begin < 4 && (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) {
    --begin;
  }
  return character_length(text, begin) == end - begin ? begin : end - 1;
}

// The C library's Unicode tables, whatever locale the program runs in.
locale_t unicode_locale() {
  static const locale_t locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  return locale;
}

char32_t to_case(Run& run, char32_t c, bool upper) {
  if (c < 0x80) {
    if (upper) return c >= 'a' && c <= 'z' ? c - 32 : c;
    return c >= 'A' && c <= 'Z' ? c + 32 : c;
  }
  const bool grows = c == 0xDF || c == 0x149 || c == 0x1F0 || c == 0x390 || c == 0x3B0 ||
                     c == 0x587 || (c >= 0x1E96 && c <= 0x1E9A) || (c >= 0x1F50 && c <= 0x1FFC) ||
                     (c >= 0xFB00 && c <= 0xFB17);
  const bool depends = c == 0x130 || c == 0x3A3;  // dotted I, final sigma
  if (unicode_locale() == nullptr || (upper ? grows : depends)) {
    run.unsupported("changing the case of U+{:04X}", static_cast<uint32_t>(c));
  }
  const auto wide = static_cast<wint_t>(c);
  return static_cast<char32_t>(upper ? towupper_l(wide, unicode_locale())
                                     : towlower_l(wide, unicode_locale()));
}

bool is_cased(Run& run, char32_t c) {
  return to_case(run, c, true) != c || to_case(run, c, false) != c;
}

std::vector<JinjaText> split_at_space(const JinjaText& text, int64_t limit) {
  std::vector<JinjaText> parts;
  const std::string& s = text.str();
  size_t at = 0;
  const auto skip = [&](bool spaces) {
    while (at < s.size() && is_space(code_point_at(s, at)) == spaces) at += character_length(s, at);
  };
  for (skip(true); at < s.size(); skip(true)) {
    if (limit-- == 0) {
      parts.push_back(text.slice(at, s.size()));
      break;
    }
    const size_t begin = at;
    skip(false);
    parts.push_back(text.slice(begin, at));
  }
  return parts;
}

}  // namespace

size_t find_bytes(const std::string& text, const std::string& part, size_t from) {
  const void* found = memmem(text.data() + from, text.size() - from, part.data(), part.size());
  if (found == nullptr) return std::string::npos;
  return static_cast<size_t>(static_cast<const char*>(found) - text.data());
}

JinjaText strip(Run& run, const JinjaText& text, const JinjaText* characters, bool left,
                bool right) {
  const std::string& s = text.str();
  run.read(s.size());
  size_t begin = 0;
  size_t end = s.size();
  const auto drops = [&](size_t at, size_t n) {
    if (characters == nullptr) return is_space(code_point_at(s, at));
    run.read(characters->size());
    return is_member(characters->str(), s, at, n);
  };
  while (left && begin < end) {
    const size_t n = character_length(s, begin);
    if (!drops(begin, n)) break;
    begin += n;
  }
  while (right && begin < end) {
    const size_t last = previous_character(s, end);
    if (!drops(last, end - last)) break;
    end = last;
  }
  return text.slice(begin, end);
}

std::vector<JinjaText> split(Run& run, const JinjaText& text, const JinjaText* separator,
                             int64_t limit) {
  run.read(text.size());
  run.allocate(text.size());
  if (separator == nullptr) return split_at_space(text, limit);
  if (separator->empty()) run.error("the separator of split is empty");
  std::vector<JinjaText> parts;
  size_t begin = 0;
  for (; limit != 0; --limit) {
    const size_t end = find_bytes(text.str(), separator->str(), begin);
    if (end == std::string::npos) break;
    run.allocate(sizeof(JinjaText));
    parts.push_back(text.slice(begin, end));
    begin = end + separator->size();
  }
  parts.push_back(text.slice(begin, text.size()));
  return parts;
}

std::vector<JinjaText> split_lines(Run& run, const JinjaText& text) {
  const std::string& s = text.str();
  run.read(s.size());
  run.allocate(s.size());
  std::vector<JinjaText> lines;
  size_t begin = 0;
  for (size_t at = 0; at < s.size();) {
    const size_t n = character_length(s, at);
    if (!is_line_break(code_point_at(s, at))) {
      at += n;
      continue;
    }
    run.allocate(sizeof(JinjaText));
    lines.push_back(text.slice(begin, at));
    at += n + (s[at] == '\r' && at + 1 < s.size() && s[at + 1] == '\n' ? 1 : 0);
    begin = at;
  }
  if (begin < s.size()) lines.push_back(text.slice(begin, s.size()));
  return lines;
}

JinjaText replace(Run& run, const JinjaText& text, const JinjaText& from, const JinjaText& to,
                  int64_t limit) {
  const std::string& s = text.str();
  run.read(s.size());
  JinjaText result;
  size_t at = 0;
  for (; limit != 0; --limit) {
    const size_t found = find_bytes(s, from.str(), at);
    if (found == std::string::npos) break;
    run.allocate(to.size() + 16);
    result.append(text, at, found);
    result.append(to);
    at = found + from.size();
    if (!from.empty()) continue;
    if (at == s.size()) return result;  // an empty string is found at every character and the end
    const size_t n = character_length(s, at);
    result.append(text, at, at + n);
    at += n;
  }
  result.append(text, at, s.size());
  return result;
}

JinjaText join(Run& run, const std::vector<JinjaText>& parts, const JinjaText& separator) {
  JinjaText result;
  for (size_t i = 0; i < parts.size(); ++i) {
    run.allocate(parts[i].size() + separator.size() + 16);
    if (i > 0) result.append(separator);
    result.append(parts[i]);
  }
  return result;
}

JinjaText change_case(Run& run, const JinjaText& text, Case to) {
  const std::string& s = text.str();
  run.read(s.size());
  run.step(static_cast<int64_t>(s.size() / 16));
  std::string result;
  bool in_word = false;
  for (size_t at = 0; at < s.size();) {
    const size_t n = character_length(s, at);
    const char32_t c = code_point_at(s, at);
    const bool upper = to == Case::kUpper || (to == Case::kTitle && !in_word) ||
                       (to == Case::kCapitalize && at == 0);
    const bool has_title_case =
        (c >= 0x1C4 && c <= 0x1CC) || (c >= 0x1F1 && c <= 0x1F3) || (c >= 0x10D0 && c <= 0x10FF);
    if (upper && to != Case::kUpper && has_title_case) {
      run.unsupported("title case of U+{:04X}", static_cast<uint32_t>(c));
    }
    if (c == 0xFFFD) {
      result.append(s, at, n);
    } else {
      append_utf8(to_case(run, c, upper), &result);
    }
    if (to == Case::kTitle) in_word = is_cased(run, c);
    at += n;
  }
  return JinjaText(std::move(result), text.has_content());
}

JinjaText escape(Run& run, const JinjaText& text) {
  const std::string& s = text.str();
  run.read(s.size());
  JinjaText result;
  size_t at = 0;
  while (at < s.size()) {
    const size_t end = std::min(s.find_first_of("&<>'\"", at), s.size());
    result.append(text, at, end);
    if (end == s.size()) break;
    const std::string_view entity = s[end] == '&'    ? "&amp;"
                                    : s[end] == '<'  ? "&lt;"
                                    : s[end] == '>'  ? "&gt;"
                                    : s[end] == '\'' ? "&#39;"
                                                     : "&#34;";
    run.allocate(end - at + entity.size() + sizeof(ByteRange));
    result.append(entity, text.slice(end, end + 1).has_content());
    at = end + 1;
  }
  return result;
}

}  // namespace tidal::jinja
