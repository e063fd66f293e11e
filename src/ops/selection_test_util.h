// Selections with memory of their own, and lists of positions to fill them, for the tests of every
// back end.
#pragma once

#include <algorithm>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "ops/selection.h"

namespace tidal::test {

// A Selection and its memory.
class TestSelection {
 public:
  TestSelection(int32_t n_lists, int64_t capacity)
      : positions_(static_cast<size_t>(n_lists * capacity), -1),
        counts_(static_cast<size_t>(n_lists), 0),
        selection_{.n_lists = n_lists, .capacity = capacity} {
    selection_.positions = positions_.data();
    selection_.counts = counts_.data();
  }
  explicit TestSelection(const std::vector<std::vector<int32_t>>& lists,
                         std::vector<int32_t> head_map = {})
      : TestSelection(static_cast<int32_t>(lists.size()), longest(lists)) {
    for (size_t i = 0; i < lists.size(); ++i) {
      std::copy(lists[i].begin(), lists[i].end(),
                positions_.begin() + static_cast<int64_t>(i) * selection_.capacity);
      counts_[i] = static_cast<int64_t>(lists[i].size());
    }
    head_map_ = std::move(head_map);
    if (!head_map_.empty()) selection_.head_map = head_map_.data();
  }
  TestSelection(TestSelection&&) = default;  // moved vectors keep their memory

  Selection& get() { return selection_; }
  const Selection& get() const { return selection_; }

 private:
  static int64_t longest(const std::vector<std::vector<int32_t>>& lists) {
    size_t n = 0;
    for (const auto& list : lists) n = std::max(n, list.size());
    return static_cast<int64_t>(n);
  }

  std::vector<int32_t> positions_;
  std::vector<int64_t> counts_;
  std::vector<int32_t> head_map_;
  Selection selection_;
};

inline std::vector<int32_t> first_rows(int64_t n) {  // 0 .. n - 1
  std::vector<int32_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// `count` of `n` positions, ascending, including the last.
inline std::vector<int32_t> random_list(int64_t n, int64_t count, uint32_t seed) {
  std::vector<int32_t> rows = first_rows(n - 1);
  std::shuffle(rows.begin(), rows.end(), std::mt19937(seed));
  rows.resize(static_cast<size_t>(std::min(count, n) - 1));
  rows.push_back(static_cast<int32_t>(n - 1));
  std::sort(rows.begin(), rows.end());
  return rows;
}

}  // namespace tidal::test
