// What every token id of a model stands for, checked on construction (Error(kCorrupt) names the
// field at fault). Immutable; owns its strings, and the views it hands out live as long as it does.
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

std::string replace_all(std::string_view text, std::string_view from, std::string_view to);

class Vocabulary {
 public:
  explicit Vocabulary(const TokenizerData& data);

  int32_t size() const { return static_cast<int32_t>(pieces_.size()); }
  bool contains(TokenId id) const { return id >= 0 && id < size(); }

  const std::string& piece(TokenId id) const { return pieces_[id]; }  // the bytes it stands for
  // What merges work on: bytes for "gpt2", text with U+2581 for each space for "llama".
  const std::string& key(TokenId id) const { return keys_.empty() ? pieces_[id] : keys_[id]; }
  TokenType type(TokenId id) const { return types_[id]; }
  bool is_control(TokenId id) const {
    return types_[id] == TokenType::kControl || types_[id] == TokenType::kUnknown;
  }

  // Ordinary tokens only: text of a user never turns into another kind by way of merges.
  TokenId find_ordinary(std::string_view key) const;  // -1: none
  // Control, unknown and user-defined tokens.
  TokenId find_special(std::string_view piece) const;                    // -1: none
  TokenId byte_token(uint8_t byte) const { return byte_tokens_[byte]; }  // -1: none

  size_t longest_ordinary() const { return longest_ordinary_; }  // bytes

 private:
  void add_byte_level(const std::string& text, TokenId id);
  void add_sentence_piece(const TokenizerData& data, TokenId id);
  void index(std::string_view key, TokenId id);

  std::vector<std::string> pieces_;  // [n_vocab]
  std::vector<std::string> keys_;    // [n_vocab] for "llama"; else empty, keys are pieces
  std::vector<TokenType> types_;     // [n_vocab]
  std::unordered_map<std::string_view, TokenId> ordinary_;
  std::unordered_map<std::string_view, TokenId> special_;
  TokenId byte_tokens_[256];
  size_t longest_ordinary_ = 0;
};

}  // namespace tidal
