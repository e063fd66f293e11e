// Finds tokens that are spelled out in text: at each place the longest one. Memory is proportional
// to the tokens; a look costs at most the longest token. Immutable once filled, then thread-safe.
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
  Match longest(std::string_view text, size_t at) const;

 private:
  static uint64_t edge(uint32_t node, char byte) {
    return uint64_t{node} << 8 | static_cast<uint8_t>(byte);
  }

  uint32_t n_nodes_ = 1;                          // node 0 is the root
  std::unordered_map<uint64_t, uint32_t> edges_;  // (node, byte) -> node
  std::unordered_map<uint32_t, int32_t> ids_;     // node -> token that ends there
  std::bitset<256> first_bytes_;
};

}  // namespace tidal
