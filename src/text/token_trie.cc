#include "text/token_trie.h"

namespace tidal {

void TokenTrie::add(std::string_view token, int32_t id) {
  if (token.empty()) return;
  first_bytes_.set(static_cast<uint8_t>(token[0]));
  uint32_t node = 0;
  for (const char byte : token) {
    const auto [found, is_new] = edges_.try_emplace(edge(node, byte), n_nodes_);
    n_nodes_ += is_new;
    node = found->second;
  }
  ids_.try_emplace(node, id);
}

TokenTrie::Match TokenTrie::longest(std::string_view text, size_t at) const {
  Match best = {-1, 0};
  if (!first_bytes_.test(static_cast<uint8_t>(text[at]))) return best;
  uint32_t node = 0;
  for (size_t i = at; i < text.size(); ++i) {
    const auto found = edges_.find(edge(node, text[i]));
    if (found == edges_.end()) break;
    node = found->second;
    const auto id = ids_.find(node);
    if (id != ids_.end()) best = {id->second, i + 1 - at};
  }
  return best;
}

}  // namespace tidal
