// Selection: which rows of the cache a layer reads. The S of the paper's Algorithm 1.
//
// One ascending list of positions without repeats per query head, per KV head, or for all
// (HeadScope). All lists of a selection have the same capacity; memory belongs to the sequence's
// AttentionState. The newest token is always included.
#pragma once

#include <cstdint>
#include <span>

#include "base/check.h"

namespace tidal {

enum class HeadScope : uint8_t { kQueryHead, kKvHead, kAll };

// How the scores of heads that share a list become one score per position.
enum class Pooling : uint8_t {
  kRaw,      // the largest q·k
  kSoftmax,  // the sum of the heads' attention probabilities
};

inline int32_t list_count(HeadScope scope, int32_t n_heads, int32_t n_kv_heads) {
  return scope == HeadScope::kQueryHead ? n_heads : scope == HeadScope::kKvHead ? n_kv_heads : 1;
}

struct Selection {
  int32_t n_lists = 0;
  int64_t capacity = 0;               // positions a list can hold
  int32_t* positions = nullptr;       // [n_lists, capacity], each list ascending
  int64_t* counts = nullptr;          // [n_lists] positions in use
  const int32_t* head_map = nullptr;  // [n_heads] list read by each query head; null: by HeadScope

  std::span<const int32_t> list(int32_t index) const {
    return {positions + index * capacity, static_cast<size_t>(counts[index])};
  }
  int32_t list_of_head(int32_t head, int32_t n_heads) const {
    if (head_map != nullptr) return head_map[head];
    return static_cast<int32_t>(int64_t{head} * n_lists / n_heads);
  }
};

// Rows of one KV head's K and V that were really read, counted by the kernel that reads them. A row
// shared by several query heads of a KV head is loaded, and counted, once.
struct RowsRead {
  int64_t k = 0;
  int64_t v = 0;

  RowsRead& operator+=(const RowsRead& other) {
    k += other.k;
    v += other.v;
    return *this;
  }
};

}  // namespace tidal
