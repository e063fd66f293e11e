// For tests: summaries of a cache's blocks in scattered slots, initially NaN.
#pragma once

#include "ops/attention_test_util.h"

namespace tidal::test {

// Compared in the interface's numbering: [blocks, 2, n_kv_heads, head_dim].
class TestSummaries {
 public:
  TestSummaries(const TestCache& cache, int32_t block_rows, uint32_t seed = 1)
      : width_(static_cast<size_t>(2 * cache.shape().kv_width())),
        block_rows_(block_rows),
        page_table_(cache.view().page_table),
        per_slot_(static_cast<size_t>((kPageRows - 1) / block_rows + 1)),
        slots_(static_cast<size_t>(2 * cache.length() / kPageRows + 3)),
        memory_((slots_.size() + 1) * (per_slot_ * width_ + kGap), NAN) {
    std::iota(slots_.begin(), slots_.end(), 0);
    std::shuffle(slots_.begin(), slots_.end(), std::mt19937(seed));
  }
  // Covers the rows before end_row.
  SummaryView view(int64_t end_row) {
    return {.base = memory_.data(),
            .slot_floats = per_slot_ * width_ + kGap,
            .summary_floats = width_,
            .slots = slots_.data(),
            .page_table = page_table_,
            .block_rows = block_rows_,
            .n_whole = end_row / block_rows_,
            .open = memory_.data() + memory_.size() - width_};
  }
  Floats values(int64_t end_row) {
    Floats all;
    for (int64_t block = 0; block * block_rows_ < end_row; ++block) {
      const float* one = view(end_row).block(block);
      all.insert(all.end(), one, one + width_);
    }
    return all;
  }
  SummaryView fill(const Floats& values, int64_t end_row) {
    for (int64_t block = 0; block * block_rows_ < end_row; ++block) {
      std::copy_n(values.data() + static_cast<size_t>(block) * width_, width_,
                  view(end_row).block(block));
    }
    return view(end_row);
  }

 private:
  static constexpr size_t kGap = 3;  // floats between slots

  size_t width_;
  int32_t block_rows_;
  const int32_t* page_table_;
  size_t per_slot_;
  std::vector<int32_t> slots_;  // [pages of the cache's memory]
  Floats memory_;
};

}  // namespace tidal::test
