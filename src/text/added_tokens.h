// Cuts text at the added tokens spelled out in it: user-defined ones anywhere, control tokens if
// requested and no byte of them is content. The longest match wins; tokens may swallow the white
// space before and after them. Immutable once filled, then thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "jinja/text.h"
#include "text/token_trie.h"

namespace tidal {

struct TextPart {
  size_t begin;
  size_t end;
  int32_t id;  // the token for these bytes; -1: none, plain text
};

class AddedTokens {
 public:
  void add(std::string_view spelling, int32_t id, bool is_control);
  void strip_left(int32_t id) { strip_left_.insert(id); }
  void strip_right(int32_t id) { strip_right_.insert(id); }
  bool empty() const { return trie_.empty(); }

  // The parts in order, whose concatenation is the text; none is empty. content: ascending,
  // disjoint.
  std::vector<TextPart> cut(std::string_view text, std::span<const ByteRange> content,
                            bool parse_special) const;

 private:
  TokenTrie trie_;
  std::unordered_set<int32_t> control_;
  std::unordered_set<int32_t> strip_left_;
  std::unordered_set<int32_t> strip_right_;
};

}  // namespace tidal
