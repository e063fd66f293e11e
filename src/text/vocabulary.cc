#include "text/vocabulary.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "base/fail.h"
#include "text/byte_alphabet.h"

namespace tidal {
namespace {

// Converters have stored these as user-defined, which any text would turn into.
bool looks_like_control(std::string_view text) {
  constexpr std::string_view kNames[] = {"<s>",    "</s>",  "<pad>", "<unk>",
                                         "<mask>", "<bos>", "<eos>", "<start_of_turn>",
                                         "<eot>",  "<EOT>", "<eod>", "<end_of_turn>"};
  if (std::find(std::begin(kNames), std::end(kNames), text) != std::end(kNames)) return true;
  const auto enclosed = [&](std::string_view open, std::string_view close) {
    return text.size() > open.size() + close.size() && text.starts_with(open) &&
           text.ends_with(close);
  };
  return enclosed("<|", "|>") || enclosed("<\xEF\xBD\x9C", "\xEF\xBD\x9C>");
}

void check_id(const TokenizerData& data, TokenId id, const char* field) {
  if (id < -1 || id >= static_cast<int64_t>(data.tokens.size())) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, but the vocabulary has {} tokens", data.source, field,
         id, data.tokens.size());
  }
}

void check(const TokenizerData& data) {
  if (data.model != "gpt2" && data.model != "llama") {
    fail(ErrorCode::kUnsupported,
         "{}: tokenizer model \"{}\" (key tokenizer.ggml.model) is not supported; \"gpt2\" and "
         "\"llama\" are",
         data.source, data.model);
  }
  const size_t n = data.tokens.size();
  if (n == 0) {
    fail(ErrorCode::kCorrupt, "{}: the vocabulary (tokenizer.ggml.tokens) is empty", data.source);
  }
  if (n > static_cast<size_t>(std::numeric_limits<TokenId>::max())) {
    fail(ErrorCode::kUnsupported, "{}: {} tokens are more than fit an id", data.source, n);
  }
  if (!data.types.empty() && data.types.size() != n) {
    fail(ErrorCode::kCorrupt, "{}: tokenizer.ggml.token_type has {} entries for {} tokens",
         data.source, data.types.size(), n);
  }
  if (!data.scores.empty() && data.scores.size() != n) {
    fail(ErrorCode::kCorrupt, "{}: tokenizer.ggml.scores has {} entries for {} tokens", data.source,
         data.scores.size(), n);
  }
  check_id(data, data.bos, "bos_token_id");
  check_id(data, data.eos, "eos_token_id");
  check_id(data, data.eot, "eot_token_id");
  check_id(data, data.unk, "unknown_token_id");
  check_id(data, data.pad, "padding_token_id");
  for (const TokenId id : data.extra_eog) check_id(data, id, "an end-of-generation id");
  for (const TokenId id : data.strip_left) check_id(data, id, "an lstrip token");
  for (const TokenId id : data.strip_right) check_id(data, id, "an rstrip token");
}

TokenType type_of(const TokenizerData& data, TokenId id) {
  const int32_t number = data.types.empty() ? 1 : data.types[id];
  if (number < 0 || number > 6) {
    fail(ErrorCode::kCorrupt, "{}: tokenizer.ggml.token_type[{}] is {}; 1 to 6 are known",
         data.source, id, number);
  }
  const TokenType type = number == 0 ? TokenType::kNormal : static_cast<TokenType>(number);
  if (type != TokenType::kUserDefined) return type;
  const bool has_role = id == data.bos || id == data.eos || id == data.eot || id == data.pad;
  return has_role || looks_like_control(data.tokens[id]) ? TokenType::kControl : type;
}

// The byte that "<0xHH>" names, or -1.
int byte_of(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int byte = 0;
  for (const char c : text.substr(3, 2)) {
    if (!std::isxdigit(static_cast<unsigned char>(c))) return -1;
    byte = byte * 16 + (c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
  }
  return byte;
}

}  // namespace

std::string replace_all(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  size_t at = 0;
  for (size_t hit; (hit = text.find(from, at)) != std::string_view::npos; at = hit + from.size()) {
    out.append(text, at, hit - at).append(to);
  }
  return out.append(text, at);
}

Vocabulary::Vocabulary(const TokenizerData& data) {
  check(data);
  const bool byte_level = data.model == "gpt2";
  const TokenId n = static_cast<TokenId>(data.tokens.size());
  std::fill(std::begin(byte_tokens_), std::end(byte_tokens_), -1);
  pieces_.resize(n);
  if (!byte_level) keys_.resize(n);
  types_.reserve(n);
  ordinary_.reserve(n);
  for (TokenId id = 0; id < n; ++id) {
    types_.push_back(type_of(data, id));
    if (byte_level) {
      add_byte_level(data.tokens[id], id);
    } else {
      add_sentence_piece(data, id);
    }
  }
}

void Vocabulary::index(std::string_view key, TokenId id) {
  if (key.empty()) return;
  if (types_[id] == TokenType::kNormal) {
    ordinary_.emplace(key, id);
    longest_ordinary_ = std::max(longest_ordinary_, key.size());
  } else if (types_[id] == TokenType::kUserDefined || is_control(id)) {
    special_.emplace(key, id);
  }
}

void Vocabulary::add_byte_level(const std::string& text, TokenId id) {
  pieces_[id] = text;
  if (types_[id] == TokenType::kNormal || types_[id] == TokenType::kByte) {
    types_[id] = TokenType::kNormal;
    if (auto bytes = from_byte_alphabet(text)) pieces_[id] = std::move(*bytes);
    if (pieces_[id].size() == 1) {
      TokenId& slot = byte_tokens_[static_cast<uint8_t>(pieces_[id][0])];
      if (slot < 0) slot = id;
    }
  }
  index(pieces_[id], id);
}

void Vocabulary::add_sentence_piece(const TokenizerData& data, TokenId id) {
  const std::string& text = data.tokens[id];
  if (types_[id] == TokenType::kByte) {
    const int byte = byte_of(text);
    if (byte < 0) {
      fail(ErrorCode::kCorrupt, "{}: token {} is of type byte but reads \"{}\", not <0xHH>",
           data.source, id, text);
    }
    pieces_[id] = std::string(1, static_cast<char>(byte));
    if (byte_tokens_[byte] < 0) byte_tokens_[byte] = id;
    return;
  }
  keys_[id] = text;
  pieces_[id] = is_control(id) ? text : replace_all(text, kSpaceMark, " ");
  index(types_[id] == TokenType::kNormal ? keys_[id] : pieces_[id], id);
}

TokenId Vocabulary::find_ordinary(std::string_view key) const {
  const auto found = ordinary_.find(key);
  return found == ordinary_.end() ? -1 : found->second;
}

TokenId Vocabulary::find_special(std::string_view piece) const {
  const auto found = special_.find(piece);
  return found == special_.end() ? -1 : found->second;
}

}  // namespace tidal
