// PageSummaries: summaries of blocks of cached rows, kept beside the pages of a PagePool.
//
// A summary depends only on the rows of its block, so whoever shares rows shares it: it lies with
// the physical page that holds the block's last row. What precedes that page in a page table does
// not change while the page is in use, because a page is written in place only by its sole owner,
// who by then has given back all later pages. How far a page's blocks are made is tracked in rows,
// per layer; copies on write copy it, rewritten rows and released pages invalidate it. Memory is
// taken as it is written: a page in which no block ends takes none.
#pragma once

#include <cstdint>
#include <vector>

#include "ops/summary_view.h"
#include "tensor/buffer.h"

namespace tidal {

enum class SummaryKind : uint8_t {
  kBounds,  // element-wise minimum and maximum of K (quest)
  kSums,    // sum of K and sum of V (means of blocks)
};

struct SummarySpec {
  SummaryKind kind = SummaryKind::kBounds;
  int32_t block_rows = 16;
  int64_t skip_rows = 0;  // first rows, which never count

  bool operator==(const SummarySpec&) const = default;
};

class PageSummaries {
 public:
  // width: n_kv_heads * head_dim. Throws Error(kExhausted) if the memory is not available.
  PageSummaries(const SummarySpec& spec, int32_t n_layers, int64_t width, int64_t n_pages,
                Memory& memory);

  const SummarySpec& spec() const { return spec_; }
  Memory& memory() const { return memory_.memory(); }
  int32_t n_layers() const { return n_layers_; }
  size_t summary_floats() const { return summary_floats_; }

  // The first n_blocks of a sequence, all complete. The view's `open` is the caller's.
  SummaryView view(int32_t layer, const int32_t* page_table, int64_t n_blocks) const;
  // How many of the first n_blocks are made, counting up to the first that is not; the first
  // `known` are. The caller must make the others before anyone reads them: from now on they count
  // as made. Pages of several sequences may follow one another, so a later one may already be made.
  int64_t claim(int32_t layer, const int32_t* page_table, int64_t n_blocks, int64_t known);

  // For the pool: the page is free; its rows from n_rows on will be written; `to` became a copy of
  // the first n_rows rows of `from`.
  void drop(int32_t page);
  void cut(int32_t page, int64_t n_rows);
  void copy(int32_t from, int32_t to, int64_t n_rows);

 private:
  uint8_t* rows_of(int32_t page) { return rows_.data() + static_cast<int64_t>(page) * n_layers_; }
  void take_slot(int32_t page);

  SummarySpec spec_;
  int32_t n_layers_;
  size_t summary_floats_;
  size_t slot_floats_;
  size_t layer_stride_ = 0;          // floats from one layer to the next in a slot
  size_t slot_stride_ = 0;           // floats from one slot to the next in a layer
  Buffer memory_;                    // per layer and slot: [per page, 2, width]
  std::vector<int32_t> slots_;       // [n_pages] of a physical page; -1: none yet
  std::vector<int32_t> free_slots_;  // initially handed out in ascending order
  std::vector<uint8_t> rows_;  // [n_pages, n_layers]: blocks ending in rows before it are made
};

}  // namespace tidal
