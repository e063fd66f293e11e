#include "kv/prefix_tree.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <vector>

#include "base/check.h"

namespace tidal {

PrefixTree::~PrefixTree() {
  for (const auto& [key, node] : nodes_) pool_.release(node.page);
}

PrefixTree::Key PrefixTree::key(uint64_t parent, std::span<const int32_t> tokens, int64_t page) {
  Key result{parent, {}};
  std::copy_n(tokens.begin() + page * kPageRows, kPageRows, result.second.begin());
  return result;
}

SequenceKv PrefixTree::find(std::string_view root, std::span<const int32_t> tokens,
                            int64_t max_length) {
  std::vector<int32_t> pages;
  ++clock_;
  const auto found = roots_.find(root);
  if (found != roots_.end()) {
    uint64_t parent = found->second.id;
    const int64_t n_whole = std::min<int64_t>(std::ssize(tokens), max_length) / kPageRows;
    for (int64_t page = 0; page < n_whole; ++page) {
      const auto place = nodes_.find(key(parent, tokens, page));
      if (place == nodes_.end()) break;
      touch(place->second);
      pages.push_back(place->second.page);
      parent = place->second.id;
    }
  }
  return {pool_, max_length, pages};
}

int64_t PrefixTree::common(std::string_view root, std::span<const int32_t> tokens) const {
  const auto found = roots_.find(root);
  if (found == roots_.end()) return 0;
  uint64_t parent = found->second.id;
  int64_t length = 0;
  for (; std::ssize(tokens) - length >= kPageRows; length += kPageRows) {
    const auto place = nodes_.find(key(parent, tokens, length / kPageRows));
    if (place == nodes_.end()) break;
    parent = place->second.id;
  }
  // Of this node's children, which lie in order, the two nearest to what comes next.
  const auto rest = tokens.subspan(static_cast<size_t>(length))
                        .first(std::min<size_t>(static_cast<size_t>(kPageRows),
                                                tokens.size() - static_cast<size_t>(length)));
  Key next{parent, {}};
  next.second.fill(std::numeric_limits<int32_t>::min());
  std::ranges::copy(rest, next.second.begin());
  int64_t more = 0;
  const auto compare = [&](const Key& child) {
    if (child.first != parent) return;
    const auto differs = std::ranges::mismatch(rest, child.second).in1;
    more = std::max<int64_t>(more, differs - rest.begin());
  };
  const auto after = nodes_.lower_bound(next);
  if (after != nodes_.end()) compare(after->first);
  if (after != nodes_.begin()) compare(std::prev(after)->first);
  return length + more;
}

int64_t PrefixTree::evictable_pages() const {
  return std::ranges::count_if(nodes_,
                               [&](const auto& n) { return !pool_.is_shared(n.second.page); });
}

void PrefixTree::insert(std::string_view root, std::span<const int32_t> tokens,
                        const SequenceKv& kv) {
  TIDAL_CHECK(kv.length() >= std::ssize(tokens), "{} rows of {} tokens", kv.length(),
              tokens.size());
  if (std::ssize(tokens) < kPageRows) return;
  ++clock_;
  auto place_of_root = roots_.find(root);
  if (place_of_root == roots_.end()) {
    place_of_root = roots_.emplace(root, Node{.id = ++last_id_}).first;
  }
  Node* parent = &place_of_root->second;
  const bool tell = listener_ && root.empty();
  int64_t n_new = 0;
  for (int64_t page = 0; page < std::ssize(tokens) / kPageRows; ++page) {
    const auto [place, is_new] = nodes_.try_emplace(key(parent->id, tokens, page));
    Node& node = place->second;
    if (is_new) {
      node.id = ++last_id_;
      node.page = kv.pages()[static_cast<size_t>(page)];
      node.parent = parent;
      node.key = &place->first;
      node.told = tell;
      ++n_new;
      pool_.share(node.page);
      if (parent->n_children++ == 0) ends_.erase(parent->used);
    }
    touch(node);
    parent = &node;
  }
  if (tell && n_new > 0) tell_kept(*parent, n_new, tokens);
}

// The last of n_new pages at the end of a path; tokens: of the path.
void PrefixTree::tell_kept(const Node& last, int64_t n_new, std::span<const int32_t> tokens) const {
  std::vector<uint64_t> blocks(static_cast<size_t>(n_new));
  const Node* node = &last;
  for (auto block = blocks.rbegin(); block != blocks.rend(); ++block) {
    *block = node->id;
    node = node->parent;
  }
  const int64_t n_whole = std::ssize(tokens) / kPageRows * kPageRows;
  const auto text =
      tokens.first(static_cast<size_t>(n_whole)).last(static_cast<size_t>(n_new * kPageRows));
  listener_({.kept = true,
             .blocks = blocks,
             .parent = node->parent == nullptr ? 0 : node->id,
             .tokens = text});
}

void PrefixTree::touch(Node& node) {
  if (node.n_children == 0) {
    ends_.erase(node.used);
    ends_[clock_] = &node;
  }
  node.used = clock_;
}

bool PrefixTree::evict() {
  for (const auto& [used, node] : ends_) {
    if (pool_.is_shared(node->page)) continue;
    remove_end(*node);
    return true;
  }
  Node* oldest = nullptr;
  for (auto& [key, node] : nodes_) {
    if (pool_.is_shared(node.page)) continue;
    if (oldest == nullptr || node.used < oldest->used) oldest = &node;
  }
  if (oldest == nullptr) return false;
  remove(*oldest);
  return true;
}

// With everything below it, leaves first.
void PrefixTree::remove(Node& node) {
  std::vector<Node*> doomed = {&node};
  for (size_t i = 0; i < doomed.size(); ++i) {
    const uint64_t id = doomed[i]->id;
    PageTokens first;
    first.fill(std::numeric_limits<int32_t>::min());
    for (auto child = nodes_.lower_bound({id, first});
         child != nodes_.end() && child->first.first == id; ++child) {
      doomed.push_back(&child->second);
    }
  }
  for (auto last = doomed.rbegin(); last != doomed.rend(); ++last) remove_end(**last);
}

void PrefixTree::remove_end(Node& node) {
  TIDAL_CHECK(node.n_children == 0);
  ends_.erase(node.used);
  pool_.release(node.page);
  if (node.told) {
    listener_({.kept = false, .blocks = {&node.id, 1}, .parent = 0, .tokens = {}});
  }
  Node& parent = *node.parent;
  nodes_.erase(nodes_.find(*node.key));
  if (--parent.n_children > 0) return;
  if (parent.parent != nullptr) {
    ends_[parent.used] = &parent;
  } else {
    std::erase_if(roots_, [&](const auto& root) { return &root.second == &parent; });
  }
}

}  // namespace tidal
