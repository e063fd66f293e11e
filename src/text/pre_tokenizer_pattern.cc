// Patterns in tokenizer.json are written for Oniguruma (Ruby syntax). The subset the known
// tokenizers use means the same to PCRE2, except for what is rewritten or refused here.
#include <cctype>
#include <string>
#include <string_view>

#include "base/fail.h"
#include "text/pre_tokenizer.h"

namespace tidal {
namespace {

constexpr size_t kMaxPatternBytes = 16384;
// Unicode's White_Space; PCRE2's \s adds U+180E.
constexpr const char* kSpace =
    R"(\x{9}-\x{D} \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

class PatternTranslator {
 public:
  PatternTranslator(std::string_view pattern, const std::string& source)
      : pattern_(pattern), source_(source) {}

  std::string run() {
    if (pattern_.size() > kMaxPatternBytes) {
      fail(ErrorCode::kUnsupported,
           "{}: a pre-tokenizer pattern has {} bytes; at most {} are allowed", source_,
           pattern_.size(), kMaxPatternBytes);
    }
    while (at_ < pattern_.size()) {
      const char c = pattern_[at_];
      if (c == '\\') {
        translate_escape(/*in_class=*/false);
      } else if (c == '[') {
        translate_class();
      } else if (c == '(') {
        check_group();
        out_.push_back(c);
        ++at_;
      } else if (c == '{') {
        translate_interval();
      } else {
        out_.push_back(c);
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  [[noreturn]] void refuse(std::string_view what) const {
    fail(ErrorCode::kUnsupported,
         "{}: the pre-tokenizer pattern uses {} at byte {}, which is not supported: {}", source_,
         what, at_, pattern_);
  }

  bool looking_at(std::string_view text) const { return pattern_.substr(at_, text.size()) == text; }

  void translate_escape(bool in_class) {
    if (at_ + 1 >= pattern_.size()) refuse("a \\ at its end");
    const char c = pattern_[at_ + 1];
    if (c == 's') {
      out_ += in_class ? std::string(kSpace) : "[" + std::string(kSpace) + "]";
    } else if (c == 'S') {
      if (in_class) refuse("\\S in a class");
      out_ += "[^" + std::string(kSpace) + "]";
    } else if (c == 'p' || c == 'P') {
      translate_property(c);
      return;
    } else if (std::string_view("dDrntfx").find(c) != std::string_view::npos ||
               std::ispunct(static_cast<unsigned char>(c)) || c == ' ') {
      out_ += {'\\', c};
    } else {
      refuse(fmt::format("\\{}", c));
    }
    at_ += 2;
  }

  void translate_property(char p) {
    const size_t close =
        looking_at(std::string{'\\', p, '{'}) ? pattern_.find('}', at_) : std::string_view::npos;
    if (close == std::string_view::npos) refuse("\\p without {}");
    std::string_view name = pattern_.substr(at_ + 3, close - at_ - 3);
    out_ += {'\\', p, '{'};
    if (name.starts_with('^')) {
      out_.push_back('^');
      name.remove_prefix(1);
    }
    for (const char c : name) {
      if (!std::isalpha(static_cast<unsigned char>(c)) && c != '_') refuse("an odd \\p{}");
    }
    // A long name is a script; by default PCRE2 also includes its extensions.
    if (name.size() > 2) out_ += "sc:";
    out_ += name;
    out_.push_back('}');
    at_ = close + 1;
  }

  void translate_class() {
    out_.push_back('[');
    ++at_;
    if (looking_at("^")) {
      out_.push_back('^');
      ++at_;
    }
    if (looking_at("]")) refuse("a class that begins with ]");
    while (at_ < pattern_.size() && pattern_[at_] != ']') {
      if (pattern_[at_] == '[') refuse("a class in a class");
      if (looking_at("&&")) refuse("&& in a class");
      if (pattern_[at_] == '\\') {
        translate_escape(/*in_class=*/true);
      } else {
        out_.push_back(pattern_[at_++]);
      }
    }
    if (at_ == pattern_.size()) refuse("an unterminated class");
    out_.push_back(']');
    ++at_;
  }

  void check_group() const {
    if (looking_at("(*")) refuse("(*");
    if (!looking_at("(?")) return;
    for (const char* known : {"(?:", "(?i:", "(?=", "(?!", "(?<=", "(?<!", "(?>", "(?i)"}) {
      if (looking_at(known)) return;
    }
    refuse(pattern_.substr(at_, 3));
  }

  // {n}, {n,} and {n,m}; a following + repeats in Ruby and is possessive in PCRE2.
  void translate_interval() {
    const size_t close = pattern_.find('}', at_);
    if (close == std::string_view::npos) refuse("{ without }");
    const std::string_view body = pattern_.substr(at_ + 1, close - at_ - 1);
    if (body.empty() || !std::isdigit(static_cast<unsigned char>(body[0])) ||
        body.find_first_not_of("0123456789,") != std::string_view::npos) {
      refuse(pattern_.substr(at_, close - at_ + 1));
    }
    out_ += pattern_.substr(at_, close - at_ + 1);
    at_ = close + 1;
    if (looking_at("+")) refuse("}+");
  }

  std::string_view pattern_;
  const std::string& source_;
  size_t at_ = 0;
  std::string out_;
};

}  // namespace

std::string translate_pattern(std::string_view pattern, const std::string& source) {
  return PatternTranslator(pattern, source).run();
}

}  // namespace tidal
