// Where the summaries of a sequence's blocks of rows are stored, in one layer.
//
// A block is block_rows consecutive positions, counted from 0; its summary is two rows of floats,
// [2, n_kv_heads, head_dim]. A complete block's summary lies in a slot of the physical page with
// the block's last row (kv/page_summaries.h), so sequences that share the rows share it; an
// incomplete last block's lies in memory of its own.
#pragma once

#include <cstddef>
#include <cstdint>

#include "ops/kv_view.h"

namespace tidal {

struct SummaryView {
  float* base = nullptr;                // slots of a layer
  size_t slot_floats = 0;               // from one slot to the next: [per page, 2, width]
  size_t summary_floats = 0;            // 2 * n_kv_heads * head_dim
  const int32_t* slots = nullptr;       // [pages of the pool] slot of a physical page
  const int32_t* page_table = nullptr;  // as the KvView's
  int32_t block_rows = 16;
  int64_t n_whole = 0;    // blocks that lie in slots
  float* open = nullptr;  // block n_whole, if it has rows

  // [2, n_kv_heads, head_dim]
  float* block(int64_t index) const {
    if (index >= n_whole) return open;
    const int64_t last = (index + 1) * block_rows - 1;
    // Blocks that end in the same page end block_rows apart.
    const auto in_page =
        block_rows < kPageRows ? static_cast<int32_t>(last % kPageRows) / block_rows : 0;
    return base + static_cast<size_t>(slots[page_table[last / kPageRows]]) * slot_floats +
           static_cast<size_t>(in_page) * summary_floats;
  }
};

}  // namespace tidal
