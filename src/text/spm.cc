#include "text/spm.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/fail.h"
#include "base/utf8.h"
#include "text/word_cache.h"

namespace tidal {
namespace {

constexpr size_t kMaxIndexedUnion = 64;  // bytes; longer tokens are looked up by text

// Maps descending floats to ascending integers.
uint32_t rank_of_score(float score) {
  const uint32_t bits = std::bit_cast<uint32_t>(score == 0.0f ? 0.0f : score);
  const uint32_t ascending = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return ~ascending;
}

// Where the word at text[at] ends: before the first space mark after something else.
size_t cut_after_word(std::string_view text, size_t at) {
  while (text.substr(at).starts_with(kSpaceMark)) at += kSpaceMark.size();
  return std::min(text.find(kSpaceMark, at), text.size());
}

}  // namespace

SentencePieceEncoder::SentencePieceEncoder(const TokenizerData& data, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary),
      source_(data.source),
      merges_(MergeTable::from_lines(
          data.merges, [&](std::string_view text) { return vocabulary.find_name(text); },
          [&](TokenId id) { return vocabulary.is_word(id); }, data.source)),
      unk_(data.unk),
      space_prefix_(data.add_space_prefix),
      prefix_first_only_(data.space_prefix_first_only),
      prefix_unless_space_(data.space_prefix_unless_space),
      byte_fallback_(data.byte_fallback),
      fuse_unknown_(data.fuse_unknown),
      ignore_merges_(data.ignore_merges.value_or(false)),
      cut_at_spaces_(tokens_end_before_marks()) {
  if (!data.merges.empty()) return;
  if (data.scores.empty()) {
    fail(ErrorCode::kCorrupt,
         "{}: a \"llama\" tokenizer needs tokenizer.ggml.scores (or merges), and has neither",
         source_);
  }
  rank_scores(data);
  index_unions();
}

void SentencePieceEncoder::rank_scores(const TokenizerData& data) {
  ranks_.reserve(data.scores.size());
  for (size_t id = 0; id < data.scores.size(); ++id) {
    if (std::isnan(data.scores[id])) {
      fail(ErrorCode::kCorrupt, "{}: tokenizer.ggml.scores[{}] is not a number", source_, id);
    }
    ranks_.push_back(rank_of_score(data.scores[id]));
  }
}

// Looking up a pair of ids is several times as fast as looking up text.
void SentencePieceEncoder::index_unions() {
  struct Entry {
    TokenId left;
    TokenId right;
    TokenId merged;
  };
  std::vector<Entry> entries;
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    const std::string_view text = vocabulary_.key(id);
    if (text.size() > kMaxIndexedUnion || vocabulary_.find_word(text) != id) continue;
    for (size_t cut = 1; cut < text.size(); ++cut) {
      const TokenId left = vocabulary_.find_word(text.substr(0, cut));
      const TokenId right = left < 0 ? -1 : vocabulary_.find_word(text.substr(cut));
      if (right >= 0) entries.push_back({left, right, id});
    }
  }
  merges_ = MergeTable(entries.size());
  for (const Entry& entry : entries) {
    merges_.insert(entry.left, entry.right, {ranks_[entry.merged], entry.merged});
  }
}

Merge SentencePieceEncoder::merge_by_text(std::string_view text) const {
  if (text.size() > vocabulary_.longest_word()) return {0, -1};
  const TokenId id = vocabulary_.find_word(text);
  return id < 0 ? Merge{0, -1} : Merge{ranks_[id], id};
}

void SentencePieceEncoder::encode(std::string_view text, bool is_first,
                                  std::vector<TokenId>* ids) const {
  const std::string marked = with_space_marks(text, is_first);
  if (ignore_merges_) {
    const TokenId whole = vocabulary_.find_word(marked);
    if (whole >= 0) return ids->push_back(whole);
  }
  MergeBuffers buffers;
  encode_words(cut_words(marked), ids, [&](std::string_view word, std::vector<TokenId>* out) {
    encode_word(word, &buffers, out);
  });
}

bool SentencePieceEncoder::tokens_end_before_marks() const {
  if (vocabulary_.find_word(kSpaceMark) < 0) return false;
  for (TokenId id = 0; id < vocabulary_.size(); ++id) {
    if (vocabulary_.is_word(id) &&
        cut_after_word(vocabulary_.key(id), 0) != vocabulary_.key(id).size()) {
      return false;
    }
  }
  return true;
}

std::vector<std::string_view> SentencePieceEncoder::cut_words(std::string_view text) const {
  if (!cut_at_spaces_) return {text};
  std::vector<std::string_view> words;
  for (size_t at = 0; at < text.size();) {
    const size_t end = cut_after_word(text, at);
    words.push_back(text.substr(at, end - at));
    at = end;
  }
  return words;
}

void SentencePieceEncoder::encode_word(std::string_view text, MergeBuffers* buffers,
                                       std::vector<TokenId>* ids) const {
  buffers->symbols.clear();
  add_symbols(text, buffers);
  merge_symbols(buffers, [&](const Symbol& a, const Symbol& b) {
    const size_t length = size_t{a.length} + b.length;
    const bool known = a.id >= 0 && b.id >= 0;
    if (known && (ranks_.empty() || length <= kMaxIndexedUnion)) return merges_.lookup(a.id, b.id);
    if (ranks_.empty()) return Merge{0, -1};
    return merge_by_text(text.substr(a.begin, length));
  });
  bool after_unknown = false;
  for (const Symbol& symbol : buffers->symbols) {
    if (symbol.length == 0) continue;
    if (symbol.id >= 0) {
      ids->push_back(symbol.id);
    } else if (!(fuse_unknown_ && after_unknown)) {
      append_unknown(text.substr(symbol.begin, symbol.length), ids);
    }
    after_unknown = symbol.id < 0;
  }
}

std::string SentencePieceEncoder::with_space_marks(std::string_view text, bool is_first) const {
  std::string marked;
  const bool begins_with_space = text.starts_with(' ') || text.starts_with(kSpaceMark);
  if (space_prefix_ && !text.empty() && !(prefix_first_only_ && !is_first) &&
      !(prefix_unless_space_ && begins_with_space)) {
    marked = kSpaceMark;
  }
  return marked += replace_all(text, " ", kSpaceMark);
}

void SentencePieceEncoder::add_symbols(std::string_view text, MergeBuffers* buffers) const {
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = read_utf8(text, at);
    const bool whole = step.kind == Utf8Step::Kind::kCharacter;
    const uint8_t length = whole ? step.length : 1;
    const std::string_view character = text.substr(at, length);
    const auto begin = static_cast<uint32_t>(at);
    const TokenId id = whole ? vocabulary_.find_word(character) : -1;
    // With listed merges bytes are symbols from the start; with scores a character that is not a
    // token itself may still merge.
    if (id >= 0 || !ranks_.empty() || !add_bytes(character, begin, buffers)) {
      buffers->add(begin, length, id);
    }
    at += length;
  }
}

bool SentencePieceEncoder::add_bytes(std::string_view text, uint32_t at,
                                     MergeBuffers* buffers) const {
  if (!byte_fallback_) return false;
  for (const char byte : text) {
    if (vocabulary_.byte_token(static_cast<uint8_t>(byte)) < 0) return false;
  }
  for (size_t i = 0; i < text.size(); ++i) {
    buffers->add(at + static_cast<uint32_t>(i), 1,
                 vocabulary_.byte_token(static_cast<uint8_t>(text[i])));
  }
  return true;
}

void SentencePieceEncoder::append_unknown(std::string_view text, std::vector<TokenId>* ids) const {
  bool has_bytes = byte_fallback_;
  for (const char byte : text) {
    has_bytes = has_bytes && vocabulary_.byte_token(static_cast<uint8_t>(byte)) >= 0;
  }
  if (has_bytes) {
    for (const char byte : text) {
      ids->push_back(vocabulary_.byte_token(static_cast<uint8_t>(byte)));
    }
  } else if (unk_ >= 0) {
    ids->push_back(unk_);
  } else {
    fail(
        ErrorCode::kUnsupported,
        "{}: the text holds a character (first byte 0x{:02X}) for which the vocabulary has neither "
        "a token, nor bytes, nor an unknown token",
        source_, static_cast<uint8_t>(text[0]));
  }
}

}  // namespace tidal
