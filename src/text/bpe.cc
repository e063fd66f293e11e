#include "text/bpe.h"

#include "base/fail.h"
#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/word_cache.h"

namespace tidal {
namespace {

PreTokenizerPreset choose_preset(const TokenizerData& data) {
  if (!data.has_patterns) return find_pre_tokenizer(data.pre, data.source);
  return {.patterns = data.patterns};
}

}  // namespace

BytePairEncoder::BytePairEncoder(const TokenizerData& data, const Vocabulary& vocabulary)
    : vocabulary_(vocabulary),
      source_(data.source),
      preset_(choose_preset(data)),
      pre_tokenizer_(preset_.patterns, data.source),
      merges_(MergeTable::from_lines(
          data.merges,
          [&](std::string_view text) {
            const auto bytes = from_byte_alphabet(text);
            return bytes ? vocabulary.find_name(*bytes) : -1;
          },
          [&](TokenId id) { return vocabulary.is_word(id); }, data.source)),
      ignore_merges_(data.ignore_merges.value_or(preset_.ignore_merges)),
      add_space_prefix_(data.byte_level_space_prefix) {}

void BytePairEncoder::encode(std::string_view text, std::vector<TokenId>* ids) const {
  std::string prefixed;
  if (add_space_prefix_ && !text.empty() && text[0] != ' ') {
    prefixed.append(1, ' ').append(text);
    text = prefixed;
  }
  std::vector<std::string_view> words;
  pre_tokenizer_.split(text, &words);
  MergeBuffers buffers;
  encode_words(words, ids, [&](std::string_view word, std::vector<TokenId>* out) {
    encode_word(word, &buffers, out);
  });
}

void BytePairEncoder::encode_word(std::string_view word, MergeBuffers* buffers,
                                  std::vector<TokenId>* ids) const {
  if (ignore_merges_) {
    const TokenId whole = vocabulary_.find_word(word);
    if (whole >= 0) {
      ids->push_back(whole);
      return;
    }
  }
  buffers->symbols.clear();
  const auto add = [&](size_t at, uint8_t byte) {
    buffers->add(static_cast<uint32_t>(at), 1, vocabulary_.byte_token(byte));
  };
  for (size_t i = 0; i < word.size(); ++i) {
    const auto byte = static_cast<uint8_t>(word[i]);
    if (vocabulary_.byte_token(byte) >= 0) {
      add(i, byte);
      continue;
    }
    for (const char stand_in : kReplacementCharacter) {
      if (vocabulary_.byte_token(static_cast<uint8_t>(stand_in)) < 0) {
        fail(ErrorCode::kUnsupported,
             "{}: the text holds the byte 0x{:02X}, for which the vocabulary has no token", source_,
             byte);
      }
      add(i, static_cast<uint8_t>(stand_in));
    }
  }
  merge_symbols(buffers,
                [&](const Symbol& a, const Symbol& b) { return merges_.lookup(a.id, b.id); });
  for (const Symbol& symbol : buffers->symbols) {
    if (symbol.length > 0) ids->push_back(symbol.id);
  }
}

}  // namespace tidal
