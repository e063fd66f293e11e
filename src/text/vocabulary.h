// What every token id of a model stands for, checked on construction (Error(kCorrupt) names the
// field at fault). Immutable; owns its strings, and the views it hands out live as long as it does.
//
// Names are found whatever the type of their token: a type determines what is parsed in text and
// what is shown. The exception are control tokens that look like markup (<|name|>, [NAME]): merges
// never turn text into one of those.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/tokenizer.h"

namespace tidal {

inline constexpr std::string_view kSpaceMark = "\xE2\x96\x81";  // U+2581, a space in "llama" tokens

// Only markup has such names: <name>, <|name|>, [NAME].
bool is_markup(std::string_view name);

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

class Vocabulary {
 public:
  explicit Vocabulary(const TokenizerData& data);

  int32_t size() const { return static_cast<int32_t>(pieces_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }

  const std::string& piece(TokenId id) const { return pieces_[id]; }  // the bytes it stands for
  // What merges work on: bytes for "gpt2", text with U+2581 for each space for "llama".
  const std::string& key(TokenId id) const { return keys_.empty() ? pieces_[id] : keys_[id]; }
  // Merges may turn text into it.
  bool is_word(TokenId id) const { return is_word_[id]; }
  TokenType type(TokenId id) const { return types_[id]; }
  bool is_control(TokenId id) const {
    return types_[id] == TokenType::kControl || types_[id] == TokenType::kUnknown;
  }

  TokenId find_word(std::string_view key) const;  // -1: none, as for all below
  TokenId find_name(std::string_view key) const;  // a word, else any other token with that name
  // Control, unknown and user-defined tokens.
  TokenId find_special(std::string_view piece) const;
  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }

  size_t longest_word() const { return longest_word_; }  // bytes

 private:
  void add_byte_level(const TokenizerData& data);
  void add_sentence_piece(const TokenizerData& data);
  bool is_apart(TokenId id, std::string_view name) const;  // merges never produce it
  void set_byte(uint8_t byte, TokenId id);
  void index(TokenId id);

  std::vector<std::string> pieces_;  // [n_vocab]
  std::vector<std::string> keys_;    // [n_vocab] for "llama"; else empty, keys are pieces
  std::vector<TokenType> types_;     // [n_vocab]
  std::vector<bool> is_word_;        // [n_vocab]
  std::unordered_map<std::string_view, TokenId> words_;
  std::unordered_map<std::string_view, TokenId> special_;
  TokenId byte_tokens_[256];
  size_t longest_word_ = 0;
};

}  // namespace tidal
