// The tokens of a template as the parsers read them, with one token of look-ahead and errors that
// quote the line. Also bounds nesting: one level per live Nesting. Refers to the source, which must
// outlive it.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "jinja/lexer.h"
#include "jinja/run.h"

namespace tidal::jinja {

class TokenStream {
 public:
  explicit TokenStream(std::string_view source) : source_(source), tokens_(tokenize(source)) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& look() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  int line() const { return current().line; }
  const Token& next() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }

  bool is(TokenKind kind) const { return current().kind == kind; }
  bool is_operator(std::string_view text) const {
    return is(TokenKind::kOperator) && current().text == text;
  }
  bool is_name(std::string_view text) const {
    return is(TokenKind::kName) && current().text == text;
  }
  bool skip_operator(std::string_view text) { return is_operator(text) && (next(), true); }
  bool skip_name(std::string_view text) { return is_name(text) && (next(), true); }

  void expect_operator(std::string_view text) {
    if (!skip_operator(text)) unexpected(fmt::format("'{}'", text));
  }
  std::string expect_name() {
    if (!is(TokenKind::kName)) unexpected("a name");
    return next().text;
  }
  void expect(TokenKind kind, std::string_view what) {
    if (!is(kind)) unexpected(what);
    next();
  }

  [[noreturn]] void unexpected(std::string_view expected) const {
    corrupt(fmt::format("expected {}, not {}", expected, describe()));
  }
  [[noreturn]] void corrupt(std::string_view message) const {
    fail_at(ErrorCode::kCorrupt, source_, line(), message);
  }
  [[noreturn]] void exhausted(std::string_view message) const {
    fail_at(ErrorCode::kExhausted, source_, line(), message);
  }
  [[noreturn]] void unsupported(std::string_view what) const {
    fail_at(ErrorCode::kUnsupported, source_, line(), fmt::format("{} is not supported", what));
  }

  class Nesting {
   public:
    explicit Nesting(TokenStream& stream) : stream_(stream) {
      constexpr int kDeepest = 100;
      if (++stream_.depth_ > kDeepest) {
        fail_at(ErrorCode::kExhausted, stream_.source_, stream_.line(),
                "the template is nested too deeply");
      }
    }
    ~Nesting() { --stream_.depth_; }
    Nesting(const Nesting&) = delete;
    Nesting& operator=(const Nesting&) = delete;

   private:
    TokenStream& stream_;
  };

 private:
  std::string describe() const {
    switch (current().kind) {
      case TokenKind::kEnd:
        return "the end of the template";
      case TokenKind::kBlockEnd:
      case TokenKind::kVariableEnd:
        return "the end of the tag";
      case TokenKind::kData:
      case TokenKind::kBlockBegin:
      case TokenKind::kVariableBegin:
        return "template text";
      default:
        return fmt::format("'{}'", current().text);
    }
  }

  std::string_view source_;
  std::vector<Token> tokens_;
  size_t at_ = 0;
  int depth_ = 0;
};

}  // namespace tidal::jinja
