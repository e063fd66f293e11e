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

}  // namespace tidal
