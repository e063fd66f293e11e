#include "text/vocabulary.h"

#include <algorithm>
#include <cctype>
#include <limits>

#include "base/fail.h"
#include "text/byte_alphabet.h"

namespace tidal {
namespace {

// Converters have stored these as user-defined, which any text could turn into.
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
    fail(ErrorCode::kUnsupported, "{}: {} tokens are more than ids can number", data.source, n);
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
  const bool has_role = id == data.bos || id == data.eos || id == data.eot;
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

// Some bytes never occur in UTF-8. A special token with such a name, e.g. the letter U+00FC, does
// not stand for that byte.
bool is_in_text(char c) {
  const auto byte = static_cast<uint8_t>(c);
  return byte < 0xC0 || (byte >= 0xC2 && byte <= 0xF4);
}

}  // namespace

bool is_markup(std::string_view name) {
  const auto enclosed = [&](char open, char close) {
    return name.size() > 2 && name.front() == open && name.back() == close;
  };
  return enclosed('<', '>') || enclosed('[', ']') || looks_like_control(name);
}

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
  const TokenId n = static_cast<TokenId>(data.tokens.size());
  std::fill(std::begin(byte_tokens_), std::end(byte_tokens_), -1);
  types_.reserve(n);
  for (TokenId id = 0; id < n; ++id) types_.push_back(type_of(data, id));
  pieces_.resize(n);
  is_word_.resize(n);
  if (data.model == "gpt2") {
    add_byte_level(data);
  } else {
    keys_.resize(n);
    add_sentence_piece(data);
  }
  words_.reserve(n);
  for (TokenId id = 0; id < n; ++id) index(id);
}

bool Vocabulary::is_apart(TokenId id, std::string_view name) const {
  return (is_control(id) || types_[id] == TokenType::kUnused) && is_markup(name);
}

void Vocabulary::set_byte(uint8_t byte, TokenId id) {
  TokenId& slot = byte_tokens_[byte];
  const auto is_plain = [&](TokenId token) {
    return types_[token] == TokenType::kNormal || types_[token] == TokenType::kByte;
  };
  if (slot < 0 || (!is_plain(slot) && is_plain(id))) slot = id;
}

void Vocabulary::index(TokenId id) {
  const TokenType type = types_[id];
  const std::string& name = key(id);
  if (name.empty() || type == TokenType::kByte) return;
  if (is_word_[id]) {
    const auto [known, is_new] = words_.try_emplace(name, id);
    if (!is_new && type == TokenType::kNormal && types_[known->second] != TokenType::kNormal) {
      known->second = id;
    }
    longest_word_ = std::max(longest_word_, name.size());
  }
  if (type == TokenType::kUserDefined || is_control(id)) special_.emplace(pieces_[id], id);
}

// Special tokens stand for their own characters, unless merges make them or a byte has no other
// token: then they are words, spelled in the byte alphabet.
void Vocabulary::add_byte_level(const TokenizerData& data) {
  std::unordered_map<std::string, TokenId> doubtful;
  for (TokenId id = 0; id < size(); ++id) {
    const std::string& text = data.tokens[id];
    TokenType& type = types_[id];
    if (type == TokenType::kByte) type = TokenType::kNormal;
    auto bytes = from_byte_alphabet(text);
    if (bytes && bytes->size() == 1 && (type == TokenType::kNormal || is_in_text((*bytes)[0]))) {
      set_byte(static_cast<uint8_t>((*bytes)[0]), id);
    }
    is_word_[id] = type == TokenType::kNormal || (type == TokenType::kUserDefined && bytes == text);
    if (bytes && !is_word_[id] && !is_apart(id, text)) doubtful.emplace(text, id);
    if (bytes && type == TokenType::kNormal) {
      pieces_[id] = *std::move(bytes);
    } else {
      pieces_[id] = text;
    }
  }
  if (doubtful.empty()) return;
  const auto make_word = [&](TokenId id) {
    is_word_[id] = true;
    pieces_[id] = *from_byte_alphabet(data.tokens[id]);
  };
  for (const TokenId id : byte_tokens_) {
    if (id >= 0 && !is_apart(id, data.tokens[id])) make_word(id);
  }
  for (std::string name : data.merges) {
    const size_t space = name.find(' ', 1);
    if (space == std::string::npos) continue;
    const auto found = doubtful.find(name.erase(space, 1));
    if (found != doubtful.end()) make_word(found->second);
  }
}

// Converters have given tokens called <0xHH> types other than byte.
void Vocabulary::add_sentence_piece(const TokenizerData& data) {
  for (TokenId id = 0; id < size(); ++id) {
    const std::string& text = data.tokens[id];
    TokenType& type = types_[id];
    const int byte = data.byte_fallback || type == TokenType::kByte ? byte_of(text) : -1;
    if (type == TokenType::kByte && byte < 0) {
      fail(ErrorCode::kCorrupt, "{}: token {} is of type byte but reads \"{}\", not <0xHH>",
           data.source, id, text);
    }
    if (byte >= 0) set_byte(static_cast<uint8_t>(byte), id);
    if (byte >= 0 && !is_control(id)) {
      type = TokenType::kByte;
      pieces_[id] = std::string(1, static_cast<char>(byte));
      continue;
    }
    keys_[id] = text;
    is_word_[id] = !is_apart(id, text);
    pieces_[id] = is_control(id) ? text : replace_all(text, kSpaceMark, " ");
  }
}

TokenId Vocabulary::find_word(std::string_view key) const {
  const auto found = words_.find(key);
  return found == words_.end() ? -1 : found->second;
}

TokenId Vocabulary::find_name(std::string_view key) const {
  const TokenId word = find_word(key);
  return word < 0 ? find_special(key) : word;
}

TokenId Vocabulary::find_special(std::string_view piece) const {
  const auto found = special_.find(piece);
  return found == special_.end() ? -1 : found->second;
}

}  // namespace tidal
