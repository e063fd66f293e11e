// SequenceSummaries: the summaries of one sequence's blocks of rows, in every layer.
//
// Summaries of complete blocks belong to the pages (kv/page_summaries.h) and are shared with every
// sequence that shares the rows; the last, still growing block is the sequence's own. All memory is
// allocated at construction. The pool must outlive it.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "kv/page_pool.h"

namespace tidal {

class SequenceSummaries {
 public:
  SequenceSummaries(PagePool& pool, const SummarySpec& spec);
  SequenceSummaries(SequenceSummaries&&) noexcept = default;
  SequenceSummaries& operator=(SequenceSummaries&&) noexcept = default;

  // The cache was truncated to `length` rows, or rows from there on were rewritten.
  void truncate(int64_t length);
  // An independent copy, for a forked sequence.
  SequenceSummaries clone() const;

  // Blocks of rows [0, end_row), once the caller has brought them up to date from first_row on
  // (nothing to do if that equals end_row): earlier rows of first_row's block are in view.open.
  struct Extent {
    SummaryView view;
    int64_t first_row = 0;
  };
  Extent extend(int32_t layer, const KvView& kv, int64_t end_row);

  const SummarySpec& spec() const { return whole_->spec(); }

 private:
  explicit SequenceSummaries(std::shared_ptr<PageSummaries> whole);

  std::shared_ptr<PageSummaries> whole_;
  Buffer open_;                // [n_layers, 2, n_kv_heads, head_dim]
  std::vector<int64_t> done_;  // [n_layers] the open block's rows before it are in open_
  std::vector<int64_t> made_;  // [n_layers] complete blocks that are made
};

}  // namespace tidal
