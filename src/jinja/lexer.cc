#include "jinja/lexer.h"

#include <algorithm>
#include <array>
#include <cstdint>

#include "base/utf8.h"
#include "jinja/run.h"

namespace tidal::jinja {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Python allows any letter in a name; bytes beyond ASCII are treated as letters.
bool is_name_byte(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<unsigned char>(c) >= 0x80;
}

bool is_blank(char c) { return is_space(static_cast<unsigned char>(c)); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) read_data();
    add(TokenKind::kEnd, "");
    return std::move(tokens_);
  }

 private:
  [[noreturn]] void corrupt(std::string_view message) const {
    fail_at(ErrorCode::kCorrupt, source_, line_, message);
  }

  bool starts_with(std::string_view text) const { return source_.substr(at_).starts_with(text); }

  void add(TokenKind kind, std::string text) { tokens_.push_back({kind, std::move(text), line_}); }

  void advance(size_t n) {
    line_ += static_cast<int>(std::count(source_.begin() + static_cast<ptrdiff_t>(at_),
                                         source_.begin() + static_cast<ptrdiff_t>(at_ + n), '\n'));
    at_ += n;
  }

  void skip_blanks() {
    size_t n = 0;
    while (at_ + n < source_.size() && is_blank(source_[at_ + n])) ++n;
    advance(n);
  }

  void add_data(std::string_view text) {
    if (!text.empty()) add(TokenKind::kData, std::string(text));
  }

  // Text up to the next tag, stripped according to the tag's sign and lstrip_blocks.
  void read_data() {
    size_t begin = at_;
    while (begin < source_.size() &&
           !(source_[begin] == '{' && begin + 1 < source_.size() &&
             (source_[begin + 1] == '{' || source_[begin + 1] == '%' || source_[begin + 1] == '#')))
      ++begin;
    const std::string_view text = source_.substr(at_, begin - at_);
    if (begin == source_.size()) {
      add_data(text);
      advance(text.size());
      return;
    }
    const char kind = source_[begin + 1];
    const char sign = begin + 2 < source_.size() ? source_[begin + 2] : '\0';
    add_data(strip_before_tag(text, sign, kind != '{'));
    advance(text.size() + 2 + (sign == '-' || sign == '+' ? 1 : 0));
    if (kind == '#') {
      skip_comment();
    } else if (kind == '%' && at_raw_tag("raw") > 0) {
      read_raw();
    } else {
      add(kind == '%' ? TokenKind::kBlockBegin : TokenKind::kVariableBegin, "");
      read_expression(kind == '%');
    }
  }

  std::string_view strip_before_tag(std::string_view text, char sign, bool is_block) const {
    if (sign == '-') {
      while (!text.empty()) {
        size_t last = text.size() - 1;
        while (last > 0 && (static_cast<unsigned char>(text[last]) & 0xC0) == 0x80) --last;
        if (!is_space(code_point_at(text, last))) break;
        text = text.substr(0, last);
      }
      return text;
    }
    if (sign == '+' || !is_block) return text;
    const size_t newline = text.rfind('\n');
    const size_t line_begin = newline == std::string_view::npos ? 0 : newline + 1;
    const bool line_starts = line_begin > 0 || at_ == 0 || source_[at_ - 1] == '\n';
    const std::string_view indent = text.substr(line_begin);
    if (line_starts && std::all_of(indent.begin(), indent.end(), is_blank)) {
      return text.substr(0, line_begin);
    }
    return text;
  }

  // After a tag's closing bracket: the sign before it decides whether blanks are dropped; else one
  // line end is.
  void strip_after_tag(char sign) {
    if (sign == '-') {
      skip_blanks();
    } else if (sign != '+' && at_ < source_.size() && source_[at_] == '\n') {
      advance(1);
    }
  }

  void skip_comment() {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) corrupt("a comment is not closed");
    const char sign = end > at_ ? source_[end - 1] : '\0';
    advance(end + 2 - at_);
    strip_after_tag(sign);
  }

  // Bytes from at_ to the end of the tag if its only word is `word`, else 0.
  size_t at_raw_tag(std::string_view word, char* sign = nullptr) const {
    size_t i = at_;
    const auto blanks = [&] {
      while (i < source_.size() && is_blank(source_[i])) ++i;
    };
    blanks();
    if (!source_.substr(i).starts_with(word)) return 0;
    i += word.size();
    blanks();
    if (i < source_.size() && (source_[i] == '-' || (word == "endraw" && source_[i] == '+'))) {
      if (sign != nullptr) *sign = source_[i];
      ++i;
      if (!source_.substr(i).starts_with("%}")) return 0;
    }
    return source_.substr(i).starts_with("%}") ? i + 2 - at_ : 0;
  }

  void read_raw() {
    char sign = '+';  // a raw tag does not swallow the line end unless it has a minus
    advance(at_raw_tag("raw", &sign));
    strip_after_tag(sign);
    const size_t begin = at_;
    for (size_t tag = source_.find("{%", at_); tag != std::string_view::npos;
         tag = source_.find("{%", tag + 1)) {
      char begin_sign = tag + 2 < source_.size() ? source_[tag + 2] : '\0';
      if (begin_sign != '-' && begin_sign != '+') begin_sign = '\0';
      const size_t saved = at_;
      at_ = tag + 2 + (begin_sign != '\0' ? 1 : 0);
      char end_sign = '\0';
      const size_t n = at_raw_tag("endraw", &end_sign);
      const size_t inside = at_;
      at_ = saved;
      if (n == 0) continue;
      const std::string_view text = source_.substr(begin, tag - begin);
      add_data(strip_before_tag(text, begin_sign, true));
      advance(inside + n - at_);
      strip_after_tag(end_sign);
      return;
    }
    corrupt("a raw block is not closed");
  }

  void read_expression(bool is_block) {
    std::string brackets;
    for (;;) {
      skip_blanks();
      if (at_ >= source_.size()) corrupt("a tag is not closed");
      if (brackets.empty() && end_expression(is_block)) return;
      const char c = source_[at_];
      if (c == '\'' || c == '"') {
        read_string();
      } else if (is_digit(c)) {
        read_number();
      } else if (is_name_byte(c)) {
        size_t n = 1;
        while (at_ + n < source_.size() && is_name_byte(source_[at_ + n])) ++n;
        add(TokenKind::kName, std::string(source_.substr(at_, n)));
        advance(n);
      } else {
        read_operator(&brackets);
      }
    }
  }

  bool end_expression(bool is_block) {
    const std::string_view close = is_block ? "%}" : "}}";
    const char sign =
        source_[at_] == '-' || (is_block && source_[at_] == '+') ? source_[at_] : '\0';
    const size_t n = sign == '\0' ? 0 : 1;
    if (!source_.substr(at_ + n).starts_with(close)) return false;
    add(is_block ? TokenKind::kBlockEnd : TokenKind::kVariableEnd, "");
    advance(n + 2);
    if (is_block || sign == '-') strip_after_tag(sign);
    return true;
  }

  void read_operator(std::string* brackets) {
    static constexpr std::array<std::string_view, 6> kTwo = {"==", "!=", ">=", "<=", "//", "**"};
    static constexpr std::string_view kOne = "+-/*%~[](){}><=.:|,;";
    for (const std::string_view op : kTwo) {
      if (starts_with(op)) {
        add(TokenKind::kOperator, std::string(op));
        advance(2);
        return;
      }
    }
    const char c = source_[at_];
    if (kOne.find(c) == std::string_view::npos) {
      corrupt(fmt::format("unexpected character '{}'",
                          source_.substr(at_, character_length(source_, at_))));
    }
    if (c == '(' || c == '[' || c == '{') {
      brackets->push_back(c == '(' ? ')' : c == '[' ? ']' : '}');
    } else if (c == ')' || c == ']' || c == '}') {
      if (brackets->empty() || brackets->back() != c) corrupt(fmt::format("unexpected '{}'", c));
      brackets->pop_back();
    }
    add(TokenKind::kOperator, std::string(1, c));
    advance(1);
  }

  // Digits with single underscores between them, from source_[at]; appended without these.
  size_t read_digits(size_t at, std::string* digits) const {
    size_t n = 0;
    while (at + n < source_.size() &&
           (is_digit(source_[at + n]) ||
            (source_[at + n] == '_' && n > 0 && at + n + 1 < source_.size() &&
             is_digit(source_[at + n + 1])))) {
      if (source_[at + n] != '_') digits->push_back(source_[at + n]);
      ++n;
    }
    return n;
  }

  void read_number() {
    std::string digits;
    size_t n = read_digits(at_, &digits);
    const char next = at_ + n < source_.size() ? source_[at_ + n] : '\0';
    if (digits == "0" && (next == 'x' || next == 'o' || next == 'b')) {
      fail_at(ErrorCode::kUnsupported, source_, line_, "hexadecimal, octal or binary number");
    }
    bool is_float = false;
    if (next == '.' && at_ + n + 1 < source_.size() && is_digit(source_[at_ + n + 1]) &&
        !(at_ > 0 && source_[at_ - 1] == '.')) {
      is_float = true;
      digits += '.';
      n += 1 + read_digits(at_ + n + 1, &digits);
    }
    if (at_ + n < source_.size() && (source_[at_ + n] == 'e' || source_[at_ + n] == 'E')) {
      size_t exponent = at_ + n + 1;
      std::string sign;
      if (exponent < source_.size() && (source_[exponent] == '+' || source_[exponent] == '-')) {
        sign = source_[exponent++];
      }
      std::string power;
      const size_t length = read_digits(exponent, &power);
      if (length > 0) {
        is_float = true;
        digits += "e" + sign + power;
        n = exponent + length - at_;
      }
    }
    if (!is_float && digits.size() > 1 && digits[0] == '0' &&
        digits.find_first_not_of('0') != std::string::npos) {
      corrupt("a number begins with 0");
    }
    add(is_float ? TokenKind::kFloat : TokenKind::kInteger, digits);
    advance(n);
  }

  void read_string() {
    const char quote = source_[at_];
    const int line = line_;
    std::string value;
    size_t i = at_ + 1;
    while (i < source_.size() && source_[i] != quote) {
      if (source_[i] == '\\' && i + 1 < source_.size()) {
        i = read_escape(i + 1, &value);
      } else {
        value += source_[i++];
      }
    }
    if (i >= source_.size()) corrupt("a string is not closed");
    advance(i + 1 - at_);
    tokens_.push_back({TokenKind::kString, std::move(value), line});
  }

  // source_[i] follows a backslash; returns where the string continues.
  size_t read_escape(size_t i, std::string* value) const {
    static constexpr std::string_view kNames = "\\'\"abfnrtv";
    static constexpr std::string_view kValues = "\\'\"\a\b\f\n\r\t\v";
    const char c = source_[i];
    if (const size_t at = kNames.find(c); at != std::string_view::npos) {
      *value += kValues[at];
      return i + 1;
    }
    if (c == '\n') return i + 1;
    if (c == 'N') fail_at(ErrorCode::kUnsupported, source_, line_, "string escape \\N");
    if (c == 'x' || c == 'u' || c == 'U') {
      return read_code(i + 1, c == 'x' ? 2 : c == 'u' ? 4 : 8, 16, true, value);
    }
    if (c >= '0' && c <= '7') return read_code(i, 3, 8, false, value);
    *value += '\\';
    return i;
  }

  size_t read_code(size_t i, size_t most, int base, bool exact, std::string* value) const {
    char32_t code = 0;
    size_t n = 0;
    for (; n < most && i + n < source_.size(); ++n) {
      const char c = source_[i + n];
      const int digit = is_digit(c)            ? c - '0'
                        : c >= 'a' && c <= 'f' ? c - 'a' + 10
                        : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                               : 99;
      if (digit >= base) break;
      code = code * static_cast<char32_t>(base) + static_cast<char32_t>(digit);
    }
    if ((exact && n != most) || code > 0x10FFFF || (code >= 0xD800 && code < 0xE000)) {
      corrupt("a string escape is not a character");
    }
    append_utf8(code, value);
    return i + n;
  }

  std::string_view source_;
  size_t at_ = 0;
  int line_ = 1;
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalize_newlines(std::string_view source) {
  std::string result;
  result.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      result += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      result += source[i];
    }
  }
  if (!result.empty() && result.back() == '\n') result.pop_back();
  return result;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace tidal::jinja
