// SentencePiece-style encoding (GGUF model "llama"): spaces become U+2581, the whole text starts as
// characters, and merges join them: ranked merges if the file lists them (tokenizer.json), else any
// two neighbours whose union is a token, best score first. Characters that remain unknown become
// byte tokens or unk. Immutable and thread-safe; refers to a Vocabulary that must outlive it.
#pragma once

#include <memory>
#include <string_view>
#include <vector>

#include "text/merge_table.h"
#include "text/tokenizer.h"
#include "text/vocabulary.h"

namespace tidal {

class SentencePieceEncoder {
 public:
  SentencePieceEncoder(const TokenizerData& data, const Vocabulary& vocabulary);

  // Appends the ids of one stretch of text between special tokens, at most 1 GiB long.
  void encode(std::string_view text, bool is_first, std::vector<TokenId>* ids) const;

 private:
  void encode_word(std::string_view text, MergeBuffers* buffers, std::vector<TokenId>* ids) const;
  std::vector<std::string_view> cut_words(std::string_view text) const;
  std::string with_space_marks(std::string_view text, bool is_first) const;
  void add_symbols(std::string_view text, MergeBuffers* buffers) const;
  bool add_bytes(std::string_view text, uint32_t at, MergeBuffers* buffers) const;
  bool tokens_end_before_marks() const;
  void rank_scores(const TokenizerData& data);
  void index_unions();
  Merge merge_by_text(std::string_view text) const;
  void append_unknown(std::string_view text, std::vector<TokenId>* ids) const;

  const Vocabulary& vocabulary_;
  std::string source_;
  std::vector<uint32_t> ranks_;  // [n_vocab], from scores; empty if the file lists merges
  MergeTable merges_;            // listed; or every pair of tokens whose union is a short token
  TokenId unk_;
  bool space_prefix_;
  bool prefix_first_only_;
  bool prefix_unless_space_;
  bool byte_fallback_;
  bool fuse_unknown_;
  bool ignore_merges_;
  bool cut_at_spaces_;  // no token crosses a word boundary: words encode one by one
};

}  // namespace tidal
