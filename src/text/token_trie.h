// Finds tokens spelled out in text: at each position the longest accepted one. Memory is
// proportional to the tokens; a lookup costs at most the longest token. Immutable once filled, then
// thread-safe.
#pragma once

#include <bitset>
#include <cstdint>
#include <string_view>
#include <unordered_map>

namespace tidal {

class TokenTrie {
 public:
  struct Match {
    int32_t id;  // -1: none
    size_t length;
  };

  void add(std::string_view token, int32_t id);
  bool empty() const { return n_nodes_ == 1; }
  // accept(id, length): whether this token is allowed here.
  template <typename Accept>
  Match longest(std::string_view text, size_t at, const Accept& accept) const {
    Match best = {-1, 0};
    if (!first_bytes_.test(static_cast<uint8_t>(text[at]))) return best;
    uint32_t node = 0;
    for (size_t i = at; i < text.size(); ++i) {
      const auto found = edges_.find(edge(node, text[i]));
      if (found == edges_.end()) break;
      node = found->second;
      const auto id = ids_.find(node);
      const size_t length = i + 1 - at;
      if (id != ids_.end() && accept(id->second, length)) best = {id->second, length};
    }
    return best;
  }

 private:
  static uint64_t edge(uint32_t node, char byte) {
    return uint64_t{node} << 8 | static_cast<uint8_t>(byte);
  }

  uint32_t n_nodes_ = 1;                          // node 0 is the root
  std::unordered_map<uint64_t, uint32_t> edges_;  // (node, byte) -> node
  std::unordered_map<uint32_t, int32_t> ids_;     // node -> token ending there
  std::bitset<256> first_bytes_;
};

}  // namespace tidal
