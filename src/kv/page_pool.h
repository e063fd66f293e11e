// PagePool: the memory of the KV cache, in pages of kPageRows positions across all layers.
//
// A physical page has the same index in every layer, so a sequence needs one page table. Pages are
// reference-counted: forked sequences share them until one writes. Not thread-safe: the engine's
// step owns it. Memory is taken from the system only as it is written.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kv/page_summaries.h"
#include "ops/kv_view.h"
#include "tensor/buffer.h"

namespace tidal {

struct KvLayout {
  int32_t n_layers = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  DType k_dtype = DType::kF16;
  DType v_dtype = DType::kF16;
};

class PagePool {
 public:
  // Room for n_pages pages. Throws Error(kUnsupported) for a cache type other than f16, bf16, f32
  // and q8_0, or q8_0 with a head size that is not a multiple of 32, Error(kExhausted) if the
  // memory is not available.
  PagePool(const KvLayout& layout, int64_t n_pages, Memory& memory = host_memory());

  Memory& memory() const { return memory_.memory(); }

  const KvLayout& layout() const { return layout_; }
  int64_t n_pages() const { return n_pages_; }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  size_t bytes_per_token() const;  // K and V, all layers

  // A page with one reference, or -1 if none is free.
  int32_t acquire();
  void share(int32_t page);
  void release(int32_t page);
  bool is_shared(int32_t page) const;
  // Counts share() and release(): while it stands still, no page has been given back.
  uint64_t changes() const { return changes_; }
  // Copies the K and V rows [0, n_rows) of a page in every layer, and their summaries.
  void copy_rows(int32_t from, int32_t to, int64_t n_rows);
  // The page's rows from n_rows on will be written: their summaries become invalid.
  void rewrite_rows(int32_t page, int64_t n_rows);

  // The summaries of blocks of these pages' rows, empty if this spec is new. They are kept while
  // anyone holds them; of those nobody holds, the kIdleSummaries last asked for are kept too, for
  // the next user of the same rows.
  static constexpr size_t kIdleSummaries = 2;
  std::shared_ptr<PageSummaries> summaries(const SummarySpec& spec);

  // The layer's memory as a view without a page table: length 0.
  KvView layer_view(int32_t layer) const;

 private:
  KvLayout layout_;
  int64_t n_pages_;
  size_t k_page_bytes_ = 0;  // one page of one layer
  size_t v_page_bytes_ = 0;
  Buffer memory_;  // [n_layers, 2 (K, V), n_pages, kPageRows, n_kv_heads, head_dim]
  std::vector<int32_t> free_;
  std::vector<int32_t> references_;  // [n_pages]
  uint64_t changes_ = 0;
  std::vector<std::shared_ptr<PageSummaries>> summaries_;  // the one last asked for at the end
};

}  // namespace tidal
