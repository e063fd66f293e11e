#include "text/tokenizer.h"

#include <unordered_set>
#include <variant>

#include "base/fail.h"
#include "text/added_tokens.h"
#include "text/bpe.h"
#include "text/nfc.h"
#include "text/spm.h"
#include "text/vocabulary.h"

namespace tidal {
namespace {

// Byte offsets and symbol counts are 32 bits wide, and a space grows to three bytes.
constexpr size_t kMaxTextBytes = size_t{1} << 29;

// Names of tokens with which models end a turn; files often give the id of only one.
constexpr std::string_view kEndNames[] = {
    "<|endoftext|>", "<|im_end|>",      "<|eot_id|>",      "<|eom_id|>",
    "<|end|>",       "<|end_of_text|>", "<|end_of_turn|>", "<end_of_turn>",
    "<|EOT|>",       "<EOT>",           "<eos>",           "<｜end▁of▁sentence｜>"};

// Ids the "llama" model uses if its file does not specify them.
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

}  // namespace

struct Tokenizer::Impl {
  explicit Impl(TokenizerData data);

  using Encoder = std::variant<BytePairEncoder, SentencePieceEncoder>;
  static Encoder make_encoder(const TokenizerData& data, const Vocabulary& vocabulary);

  std::vector<TokenId> encode(std::string_view text, const JinjaText* prompt, bool add_special,
                              bool parse_special) const;
  void encode_stretch(const JinjaText& text, bool is_first, bool parse_special,
                      std::vector<TokenId>* ids) const;
  void encode_plain(std::string_view text, bool is_first, std::vector<TokenId>* ids) const;
  JinjaText normalize(const JinjaText& text) const;
  void add_tokens(const TokenizerData& data);

  Vocabulary vocabulary;
  Encoder encoder;
  AddedTokens added;             // matched in the text as it is
  AddedTokens added_normalized;  // matched after the normalizer
  std::unordered_set<TokenId> ends;
  TokenId bos;
  TokenId eos;
  bool add_bos;
  bool add_eos;
  bool normalize_nfc;
  bool normalizer_prefix;
  bool normalizer_marks;
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
      bos(data.bos),
      eos(data.eos),
      normalize_nfc(data.normalize_nfc),
      normalizer_prefix(data.model == "llama" && data.normalizer_prefix),
      normalizer_marks(data.model == "llama" && data.normalizer_marks),
      strips_leading_space(data.model == "llama" &&
                           (data.add_space_prefix || data.normalizer_prefix)) {
  const auto* pairs = std::get_if<BytePairEncoder>(&encoder);
  add_bos = data.add_bos.value_or(pairs != nullptr ? pairs->adds_bos_by_default() : bos >= 0);
  add_eos = data.add_eos.value_or(false);
  if ((add_bos && bos < 0) || (add_eos && eos < 0)) {
    fail(ErrorCode::kCorrupt, "{}: the tokenizer should add {}, but names no such token",
         data.source, add_bos && bos < 0 ? "BOS (bos_token_id)" : "EOS (eos_token_id)");
  }
  add_tokens(data);
  for (const std::string_view name : kEndNames) {
    const TokenId id = vocabulary.find_special(name);
    if (id >= 0 && vocabulary.is_control(id)) ends.insert(id);
  }
  for (const TokenId id : {data.eos, data.eot}) {
    if (id >= 0) ends.insert(id);
  }
}

void Tokenizer::Impl::add_tokens(const TokenizerData& data) {
  const std::unordered_set<TokenId> normalized(data.normalized.begin(), data.normalized.end());
  for (TokenId id = 0; id < vocabulary.size(); ++id) {
    const bool is_control = vocabulary.is_control(id);
    if (!is_control && vocabulary.type(id) != TokenType::kUserDefined) continue;
    const bool is_literal = data.literal_added_tokens || data.model == "gpt2";
    const std::string& text = is_literal ? data.tokens[id] : vocabulary.piece(id);
    if (!normalized.contains(id)) {
      added.add(text, id, is_control);
      continue;
    }
    std::string spelling = normalize(JinjaText(text, false)).str();
    added_normalized.add(spelling, id, is_control);
    if (is_control && normalizer_prefix) {
      added_normalized.add(spelling.substr(kSpaceMark.size()), id, is_control);
    }
  }
  for (AddedTokens* tokens : {&added, &added_normalized}) {
    for (const TokenId id : data.strip_left) tokens->strip_left(id);
    for (const TokenId id : data.strip_right) tokens->strip_right(id);
  }
}

// Content stays content: it is normalized separately from the surrounding text.
JinjaText Tokenizer::Impl::normalize(const JinjaText& text) const {
  JinjaText result;
  const auto append = [&](size_t begin, size_t end, bool is_content) {
    std::string part = text.str().substr(begin, end - begin);
    if (normalize_nfc) part = to_nfc(part);
    if (normalizer_marks) part = replace_all(part, " ", kSpaceMark);
    result.append(part, is_content);
  };
  if (normalizer_prefix && !text.empty()) result.append(kSpaceMark, false);
  size_t at = 0;
  for (const ByteRange& range : text.content()) {
    append(at, range.begin, false);
    append(range.begin, range.end, true);
    at = range.end;
  }
  append(at, text.size(), false);
  return result;
}

void Tokenizer::Impl::encode_plain(std::string_view text, bool is_first,
                                   std::vector<TokenId>* ids) const {
  if (const auto* pairs = std::get_if<BytePairEncoder>(&encoder)) {
    pairs->encode(text, ids);
  } else {
    std::get<SentencePieceEncoder>(encoder).encode(text, is_first, ids);
  }
}

// A stretch between the tokens matched in the text as it is.
void Tokenizer::Impl::encode_stretch(const JinjaText& text, bool is_first, bool parse_special,
                                     std::vector<TokenId>* ids) const {
  const JinjaText normalized = normalize(text);
  const std::string_view bytes = normalized.str();
  for (const TextPart& part : added_normalized.cut(bytes, normalized.content(), parse_special)) {
    if (part.id >= 0) {
      ids->push_back(part.id);
    } else {
      encode_plain(bytes.substr(part.begin, part.end - part.begin), is_first && part.begin == 0,
                   ids);
    }
  }
}

std::vector<TokenId> Tokenizer::Impl::encode(std::string_view text, const JinjaText* prompt,
                                             bool add_special, bool parse_special) const {
  if (text.size() > kMaxTextBytes) {
    fail(ErrorCode::kInvalidArgument, "a text of {} bytes is too long to encode at once (limit {})",
         text.size(), kMaxTextBytes);
  }
  std::span<const ByteRange> content;
  if (prompt != nullptr) content = prompt->content();
  const bool is_normalized = normalize_nfc || normalizer_prefix || normalizer_marks;
  std::vector<TokenId> ids;
  if (add_special && add_bos) ids.push_back(bos);
  for (const TextPart& part : added.cut(text, content, parse_special)) {
    const std::string_view bytes = text.substr(part.begin, part.end - part.begin);
    if (part.id >= 0) {
      ids.push_back(part.id);
    } else if (!is_normalized && added_normalized.empty()) {
      encode_plain(bytes, part.begin == 0, &ids);
    } else {
      encode_stretch(prompt != nullptr ? prompt->slice(part.begin, part.end)
                                       : JinjaText(std::string(bytes), false),
                     part.begin == 0, parse_special, &ids);
    }
  }
  if (add_special && add_eos) ids.push_back(eos);
  return ids;
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

Tokenizer Tokenizer::create(TokenizerData data) {
  return Tokenizer(std::make_shared<const Impl>(with_defaults(std::move(data))));
}

std::vector<TokenId> Tokenizer::encode(std::string_view text, bool add_special,
                                       bool parse_special) const {
  return impl_->encode(text, nullptr, add_special, parse_special);
}

std::vector<TokenId> Tokenizer::encode_prompt(const JinjaText& prompt) const {
  return impl_->encode(prompt.str(), &prompt, false, true);
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool keep_special) const {
  std::string text;
  bool strip = impl_->strips_leading_space;
  for (const TokenId id : ids) {
    const bool control = is_control(id);
    if (control && !keep_special) continue;
    std::string_view bytes = piece(id);
    if (!control) {
      if (strip && bytes.starts_with(' ')) bytes.remove_prefix(1);
      strip = false;
    }
    text += bytes;
  }
  return text;
}

std::string_view Tokenizer::piece(TokenId id) const {
  if (!impl_->vocabulary.contains(id)) return {};
  return impl_->vocabulary.piece(id);
}

std::optional<TokenId> Tokenizer::find(std::string_view piece) const {
  const Vocabulary& vocabulary = impl_->vocabulary;
  TokenId id = vocabulary.find_special(piece);
  if (id < 0) {
    const bool marks = std::holds_alternative<SentencePieceEncoder>(impl_->encoder);
    id = vocabulary.find_word(marks ? replace_all(piece, " ", kSpaceMark) : std::string(piece));
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
  return impl_->vocabulary.contains(id) && impl_->vocabulary.is_control(id);
}

}  // namespace tidal
