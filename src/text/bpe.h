// Byte-level byte-pair encoding (GGUF model "gpt2"): the pre-tokenizer cuts text into words, each
// word starts as its bytes, and ranked merges join them. Immutable and thread-safe; refers to a
// Vocabulary that must outlive it. A byte without a token of its own becomes the tokens of U+FFFD.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "text/merge_table.h"
#include "text/pre_tokenizer.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace tidal {

class BytePairEncoder {
 public:
  BytePairEncoder(const TokenizerData& data, const Vocabulary& vocabulary);

  // Appends the ids of `text`, which is at most 4 GiB long.
  void encode(std::string_view text, std::vector<TokenId>* ids) const;

  bool adds_bos_by_default() const { return preset_.add_bos; }

 private:
  void encode_word(std::string_view word, MergeBuffers* buffers, std::vector<TokenId>* ids) const;

  const Vocabulary& vocabulary_;
  std::string source_;
  PreTokenizerPreset preset_;
  PreTokenizer pre_tokenizer_;
  MergeTable merges_;
  bool ignore_merges_;
  bool add_space_prefix_;
};

}  // namespace tidal
