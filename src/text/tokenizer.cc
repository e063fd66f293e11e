#include "text/tokenizer.h"

#include <algorithm>
#include <unordered_set>
#include <variant>

#include "base/fail.h"
#include "base/utf8.h"
#include "text/bpe.h"
#include "text/nfc.h"
#include "text/spm.h"
#include "text/token_trie.h"
#include "text/vocabulary.h"

namespace tidal {
namespace {

// Byte offsets and symbol counts are 32 bits wide, and a space grows to three bytes.
constexpr size_t kMaxTextBytes = size_t{1} << 29;

// Names under which models end a turn; files often give only one of their ids.
constexpr std::string_view kEndNames[] = {"<|endoftext|>",
                                          "<|im_end|>",
                                          "<|eot_id|>",
                                          "<|eom_id|>",
                                          "<|end|>",
                                          "<|end_of_text|>",
                                          "<|end_of_turn|>",
                                          "<end_of_turn>",
                                          "<|EOT|>",
                                          "<EOT>",
                                          "<eos>",
                                          "<\xEF\xBD\x9C"
                                          "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>"};

// Ids the "llama" model has where its file does not say.
TokenizerData with_defaults(TokenizerData data) {
  if (data.model != "llama" || !data.merges.empty()) return data;
  const auto default_to = [&](TokenId* id, TokenId value, TokenType type) {
    if (*id == -1 && value < static_cast<int64_t>(data.types.size()) &&
        data.types[value] == static_cast<int32_t>(type)) {
      *id = value;
    }
  };
  default_to(&data.unk, 0, TokenType::kUnknown);
  default_to(&data.bos, 1, TokenType::kControl);
  default_to(&data.eos, 2, TokenType::kControl);
  return data;
}

// Bytes of white space that text[at] begins with.
size_t space_at(std::string_view text, size_t at) {
  size_t end = at;
  while (end < text.size()) {
    const Utf8Step step = read_utf8(text, end);
    if (step.kind != Utf8Step::Kind::kCharacter || !is_white_space(step.code_point)) break;
    end += step.length;
  }
  return end - at;
}

// Where the white space that reaches up to `end` begins.
size_t space_before(std::string_view text, size_t end) {
  while (end > 0) {
    size_t begin = end - 1;
    while (begin > 0 && end - begin < 3 && (static_cast<uint8_t>(text[begin]) & 0xC0) == 0x80) {
      --begin;
    }
    if (space_at(text.substr(0, end), begin) != end - begin) break;
    end = begin;
  }
  return end;
}

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerData data);

  using Encoder = std::variant<BytePairEncoder, SentencePieceEncoder>;
  static Encoder make_encoder(const TokenizerData& data, const Vocabulary& vocabulary);

  void encode_plain(std::string_view text, bool is_first, std::vector<TokenId>* ids) const;
  void encode_with(const TokenTrie& tokens, std::string_view text, std::vector<TokenId>* ids) const;
  void check_id(TokenId id) const;

  Vocabulary vocabulary;
  Encoder encoder;
  TokenTrie user_defined;  // found in every text
  TokenTrie all_special;   // found where the caller asks
  std::unordered_set<TokenId> ends;
  std::unordered_set<TokenId> strip_left;
  std::unordered_set<TokenId> strip_right;
  std::string source;
  TokenId bos;
  TokenId eos;
  bool add_bos;
  bool add_eos;
  bool normalize_nfc;
  bool strips_leading_space;
};

Tokenizer::Impl::Encoder Tokenizer::Impl::make_encoder(const TokenizerData& data,
                                                       const Vocabulary& vocabulary) {
  if (data.model == "gpt2") {
    return Encoder(std::in_place_type<BytePairEncoder>, data, vocabulary);
  }
  return Encoder(std::in_place_type<SentencePieceEncoder>, data, vocabulary);
}

Tokenizer::Impl::Impl(TokenizerData data)
    : vocabulary(data),
      encoder(make_encoder(data, vocabulary)),
      ends(data.extra_eog.begin(), data.extra_eog.end()),
      strip_left(data.strip_left.begin(), data.strip_left.end()),
      strip_right(data.strip_right.begin(), data.strip_right.end()),
      source(std::move(data.source)),
      bos(data.bos),
      eos(data.eos),
      normalize_nfc(data.normalize_nfc),
      strips_leading_space(data.model == "llama" && data.add_space_prefix) {
  const auto* pairs = std::get_if<BytePairEncoder>(&encoder);
  add_bos = data.add_bos.value_or(pairs != nullptr ? pairs->adds_bos_by_default() : bos >= 0);
  add_eos = data.add_eos.value_or(false);
  if ((add_bos && bos < 0) || (add_eos && eos < 0)) {
    fail(ErrorCode::kCorrupt, "{}: the tokenizer is to add {}, but names no such token", source,
         add_bos && bos < 0 ? "BOS (bos_token_id)" : "EOS (eos_token_id)");
  }
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const bool is_user_defined = vocabulary.type(id) == TokenType::kUserDefined;
    if (is_user_defined) user_defined.add(vocabulary.piece(id), id);
    if (is_user_defined || vocabulary.is_control(id)) all_special.add(vocabulary.piece(id), id);
  }
  for (const std::string_view name : kEndNames) {
    const TokenId id = vocabulary.find_special(name);
    if (id >= 0 && vocabulary.is_control(id)) ends.insert(id);
  }
  for (const TokenId id : {data.eos, data.eot}) {
    if (id >= 0) ends.insert(id);
  }
}

void Tokenizer::Impl::encode_plain(std::string_view text, bool is_first,
                                   std::vector<TokenId>* ids) const {
  if (text.empty()) return;
  const std::string normalized = normalize_nfc ? to_nfc(text) : std::string();
  if (normalize_nfc) text = normalized;
  if (const auto* pairs = std::get_if<BytePairEncoder>(&encoder)) {
    pairs->encode(text, ids);
  } else {
    std::get<SentencePieceEncoder>(encoder).encode(text, is_first, ids);
  }
}

void Tokenizer::Impl::encode_with(const TokenTrie& tokens, std::string_view text,
                                  std::vector<TokenId>* ids) const {
  size_t done = 0;  // everything before is encoded
  for (size_t at = 0; at < text.size() && !tokens.empty();) {
    const TokenTrie::Match match = tokens.longest(text, at);
    if (match.id < 0) {
      ++at;
      continue;
    }
    size_t end = at;
    if (strip_left.contains(match.id)) {
      end = std::max(done, space_before(text, end));
    }
    encode_plain(text.substr(done, end - done), done == 0, ids);
    ids->push_back(match.id);
    at += match.length;
    if (strip_right.contains(match.id)) {
      at += space_at(text, at);
    }
    done = at;
  }
  encode_plain(text.substr(done), done == 0, ids);
}

void Tokenizer::Impl::check_id(TokenId id) const {
  if (!vocabulary.contains(id)) {
    fail(ErrorCode::kInvalidArgument, "token id {} is outside the vocabulary of {} tokens", id,
         vocabulary.size());
  }
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Tokenizer Tokenizer::create(TokenizerData data) {
  return Tokenizer(std::make_shared<const Impl>(with_defaults(std::move(data))));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool add_special,
                                       bool parse_special) const {
  if (text.size() > kMaxTextBytes) {
    fail(ErrorCode::kInvalidArgument, "a text of {} bytes is too long to encode at once (limit {})",
         text.size(), kMaxTextBytes);
  }
  std::vector<TokenId> ids;
  if (add_special && impl_->add_bos) ids.push_back(impl_->bos);
  impl_->encode_with(parse_special ? impl_->all_special : impl_->user_defined, text, &ids);
  if (add_special && impl_->add_eos) ids.push_back(impl_->eos);
  return ids;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool keep_special) const {
  std::string text;
  bool strip = impl_->strips_leading_space;
  for (const TokenId id : ids) {
    impl_->check_id(id);
    const bool control = is_control(id);
    if (control && !keep_special) continue;
    std::string_view bytes = impl_->vocabulary.piece(id);
    if (!control) {
      if (strip && bytes.starts_with(' ')) bytes.remove_prefix(1);
      strip = false;
    }
    text += bytes;
  }
  return text;
}

std::string_view Tokenizer::piece(TokenId id) const {
  impl_->check_id(id);
  return impl_->vocabulary.piece(id);
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  const Vocabulary& vocabulary = impl_->vocabulary;
  TokenId id = vocabulary.find_special(piece);
  if (id < 0) {
    const bool marks = std::holds_alternative<SentencePieceEncoder>(impl_->encoder);
    id = vocabulary.find_ordinary(marks ? replace_all(piece, " ", kSpaceMark) : std::string(piece));
  }
  if (id < 0 && piece.size() == 1) id = vocabulary.byte_token(static_cast<uint8_t>(piece[0]));
  return id < 0 ? std::nullopt : std::optional(id);
}

int32_t Tokenizer::vocab_size() const { return impl_->vocabulary.size(); }
TokenId Tokenizer::bos() const { return impl_->bos; }
TokenId Tokenizer::eos() const { return impl_->eos; }
bool Tokenizer::adds_bos() const { return impl_->add_bos; }
bool Tokenizer::adds_eos() const { return impl_->add_eos; }
bool Tokenizer::strips_leading_space() const { return impl_->strips_leading_space; }

bool Tokenizer::is_end_of_generation(TokenId id) const { return impl_->ends.contains(id); }

bool Tokenizer::is_control(TokenId id) const {
  impl_->check_id(id);
  return impl_->vocabulary.is_control(id);
}

}  // namespace tidal
