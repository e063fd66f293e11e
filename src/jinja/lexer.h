// Cuts a template into text and tokens, with whitespace control already applied (trim_blocks,
// lstrip_blocks, and the signs of {%- -%} {%+). Throws Error(kCorrupt) naming the line.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tidal::jinja {

enum class TokenKind {
  kData,           // template text
  kBlockBegin,     // {%
  kBlockEnd,       // %}
  kVariableBegin,  // {{
  kVariableEnd,    // }}
  kName,
  kString,  // text is its value, with escapes resolved
  kInteger,
  kFloat,
  kOperator,
  kEnd,
};

struct Token {
  TokenKind kind;
  std::string text;
  int line;
};

// Line ends become "\n", and one at the very end is dropped.
std::string normalize_newlines(std::string_view source);

// source: normalized. The last token is kEnd.
std::vector<Token> tokenize(std::string_view source);

}  // namespace tidal::jinja
