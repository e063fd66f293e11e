// One sequence's K and V in one layer: a view of paged rows.
//
// A page holds 16 consecutive positions as [kPageRows, n_kv_heads, head_dim], K and V in separate
// pages, so the rows of all heads of one token are adjacent. In q8_0 the elements of a head are
// head_dim / 32 blocks (tensor/formats/q8_0.h). The memory belongs to the page pool
// (kv/page_pool.h); a view is valid until its sequence grows, shrinks or forks.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace tidal {

inline constexpr int kPageRows = 16;

// Pages needed for this many rows.
inline int64_t pages_of(int64_t rows) { return (rows + kPageRows - 1) / kPageRows; }

// K or V of one layer.
struct KvPlane {
  DType dtype = DType::kF16;  // kF16, kBF16, kF32 or kQ8_0
  std::byte* base = nullptr;  // physical page 0
  size_t page_bytes = 0;      // from one physical page to the next
  size_t row_bytes = 0;       // one position: [n_kv_heads, head_dim]
};

struct KvView {
  KvPlane k;
  KvPlane v;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;                 // a multiple of 8; of 32 in q8_0
  int64_t length = 0;                   // rows that hold a token
  const int32_t* page_table = nullptr;  // [ceil(length / kPageRows)] physical pages

  // All KV heads of one position: [n_kv_heads, head_dim].
  std::byte* row(const KvPlane& plane, int64_t position) const {
    return plane.base + static_cast<size_t>(page_table[position / kPageRows]) * plane.page_bytes +
           static_cast<size_t>(position % kPageRows) * plane.row_bytes;
  }
  std::byte* k_row(int64_t position) const { return row(k, position); }
  std::byte* v_row(int64_t position) const { return row(v, position); }
};

}  // namespace tidal
