// PrefixTree: cached rows of texts read before, looked up by their tokens.
//
// A node is one whole page and the tokens of its rows; a path from a root is the beginning of a
// text. Tokens are compared, not hashed. Texts under different roots share nothing. The tree holds
// a reference to each page; whoever is given rows shares them, so a page in use stays. Only rows
// written by full attention may enter: this makes reuse exact. Not thread-safe; the pool must
// outlive it.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "kv/sequence_kv.h"
#include "tidal/cache_event.h"

namespace tidal {

class PrefixTree {
 public:
  explicit PrefixTree(PagePool& pool) : pool_(pool) {}
  ~PrefixTree();
  PrefixTree(const PrefixTree&) = delete;
  PrefixTree& operator=(const PrefixTree&) = delete;

  // Tells of what enters and leaves under the root "" from now on; ids are those of nodes.
  void listen(CacheListener listener) { listener_ = std::move(listener); }

  // The rows of the longest known prefix of `tokens`, in whole pages: a sequence of up to
  // max_length.
  SequenceKv find(std::string_view root, std::span<const int32_t> tokens, int64_t max_length);
  // How many of the first tokens match a known text, to the token: at least as many as find() has
  // rows for.
  int64_t common(std::string_view root, std::span<const int32_t> tokens) const;
  // kv's first rows are those of `tokens`; its whole pages enter, unless the tree has equal ones.
  void insert(std::string_view root, std::span<const int32_t> tokens, const SequenceKv& kv);

  // Gives back at least one page that nobody else holds: the least recently used leaf, or, if all
  // leaves are in use, an inner page with everything below it. False if there is none.
  bool evict();

  int64_t n_pages() const { return std::ssize(nodes_); }
  // Those that nobody else holds: what evicting gives back in the end.
  int64_t evictable_pages() const;

 private:
  using PageTokens = std::array<int32_t, kPageRows>;
  using Key = std::pair<uint64_t, PageTokens>;  // the parent's id first, so children are adjacent
  struct Node {
    uint64_t id = 0;
    int32_t page = -1;       // -1: a root
    uint64_t used = 0;       // time of last use, by the clock
    Node* parent = nullptr;  // null: a root
    const Key* key = nullptr;
    int64_t n_children = 0;
    bool told = false;  // the listener knows it
  };

  static Key key(uint64_t parent, std::span<const int32_t> tokens, int64_t page);
  void touch(Node& node);
  void tell_kept(const Node& last, int64_t n_new, std::span<const int32_t> tokens) const;
  void remove(Node& node);
  void remove_end(Node& node);

  PagePool& pool_;
  CacheListener listener_;
  std::map<std::string, Node, std::less<>> roots_;  // those with children
  std::map<Key, Node> nodes_;
  std::map<uint64_t, Node*> ends_;  // leaves by last use: a call uses one path
  uint64_t last_id_ = 0;
  uint64_t clock_ = 0;
};

}  // namespace tidal
