// The merge loop both tokenizers share: repeatedly, the neighbours with the best rule become one
// symbol, ties going to the leftmost, until no rule applies. O(n log n) in the number of symbols.
// Header only; a MergeBuffers is reused from word to word and belongs to one thread.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <vector>

namespace tidal {

struct Symbol {
  uint32_t begin;   // first byte in the text
  uint32_t length;  // bytes; 0: merged into the symbol on its left
  int32_t id;       // token, or -1 if the text is not one
  int32_t previous;
  int32_t next;  // -1 at the ends
};

struct Merge {
  uint32_t rank;   // lower merges first
  int32_t merged;  // the token the two become; -1: they do not merge
};

struct MergeBuffers {
  std::vector<Symbol> symbols;

  void add(uint32_t begin, uint32_t length, int32_t id) {
    const auto index = static_cast<int32_t>(symbols.size());
    if (index > 0) symbols.back().next = index;
    symbols.push_back({begin, length, id, index - 1, -1});
  }

  struct Candidate {
    uint64_t key;     // rank, then position of the left symbol
    uint32_t length;  // of both symbols: differs once either has changed
    int32_t merged;
    bool operator>(const Candidate& other) const { return key > other.key; }
  };
  std::vector<Candidate> heap;
};

// rule(left, right) -> Merge. Symbols merged away keep length 0.
template <typename Rule>
void merge_symbols(MergeBuffers* buffers, Rule&& rule) {
  std::vector<Symbol>& symbols = buffers->symbols;
  auto& heap = buffers->heap;
  heap.clear();
  const auto candidate = [&](int32_t left, auto&& accept) {
    const Symbol& a = symbols[left];
    const Symbol& b = symbols[a.next];
    const Merge merge = rule(a, b);
    if (merge.merged >= 0) {
      accept(MergeBuffers::Candidate{uint64_t{merge.rank} << 32 | static_cast<uint32_t>(left),
                                     a.length + b.length, merge.merged});
    }
  };
  for (int32_t i = 0; i + 1 < static_cast<int32_t>(symbols.size()); ++i) {
    candidate(i, [&](const auto& c) { heap.push_back(c); });
  }
  std::make_heap(heap.begin(), heap.end(), std::greater<>());
  const auto push = [&](const auto& c) {
    heap.push_back(c);
    std::push_heap(heap.begin(), heap.end(), std::greater<>());
  };
  while (!heap.empty()) {
    std::pop_heap(heap.begin(), heap.end(), std::greater<>());
    const MergeBuffers::Candidate best = heap.back();
    heap.pop_back();
    const auto left = static_cast<int32_t>(best.key & 0xFFFFFFFFu);
    Symbol& a = symbols[left];
    if (a.length == 0 || a.next < 0 || a.length + symbols[a.next].length != best.length) continue;
    Symbol& b = symbols[a.next];
    a.length = best.length;
    a.id = best.merged;
    a.next = b.next;
    b.length = 0;
    if (a.next >= 0) {
      symbols[a.next].previous = left;
      candidate(left, push);
    }
    if (a.previous >= 0) candidate(a.previous, push);
  }
}

}  // namespace tidal
