// PagePool: the memory of the KV cache, in pages of kPageRows positions over all layers.
//
// A physical page is the same index in every layer, so a sequence has one page table. Pages are
// counted by reference: forked sequences share them until one writes. Not thread-safe: the engine's
// step owns it. Memory is taken from the system only where it is written.
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
  // and q8_0, or q8_0 with heads that are no multiple of 32,
  // Error(kExhausted) when the memory cannot be had.
  PagePool(const KvLayout& layout, int64_t n_pages, Memory& memory = host_memory());

  Memory& memory() const { return memory_.memory(); }

  const KvLayout& layout() const { return layout_; }
  int64_t n_pages() const { return n_pages_; }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  size_t bytes_per_token() const;  // K and V, all layers

  // One page, owned once, or -1 when there is none.
  int32_t acquire();
  void share(int32_t page);
  void release(int32_t page);
  bool is_shared(int32_t page) const;
  // Copies the K and V rows [0, n_rows) of a page in every layer, and what is summarised of them.
  void copy_rows(int32_t from, int32_t to, int64_t n_rows);
  // The page's rows from n_rows on will be written: what is summarised of them is void.
  void rewrite_rows(int32_t page, int64_t n_rows);

  // The summaries of blocks of these pages' rows, empty where nobody asked for the like yet. They
  // are kept while somebody holds them; of those that nobody holds, the last kIdleSummaries asked
  // for are kept too, for the next user of the same rows.
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
  std::vector<int32_t> references_;                        // [n_pages]
  std::vector<std::shared_ptr<PageSummaries>> summaries_;  // the one asked for last at the end
};

}  // namespace tidal
