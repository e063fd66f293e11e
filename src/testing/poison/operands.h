// Where the operands of an operation lie: for_each_operand(item, f) calls f(pointer, n, access) for
// each, a reference to the item's pointer and how many elements it points to, and f(selection) for
// the Selection, which has its own operands. What is null is left out.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <span>
#include <type_traits>
#include <vector>

#include "ops/backend.h"

namespace tidal::test {

enum class Access : uint8_t { kRead, kWrite };  // written ones may be read as well

template <typename T, typename F>
void visit_operand(T*& pointer, int64_t n, Access access, const F& f) {
  if (pointer != nullptr) f(pointer, n, access);
}

template <typename F>
void visit_plane(KvPlane& plane, const KvView& kv, int64_t length, Access access, const F& f) {
  if (length == 0) return;
  const int64_t last = *std::max_element(kv.page_table, kv.page_table + pages_of(length));
  const auto bytes = last * static_cast<int64_t>(plane.page_bytes) +
                     kPageRows * static_cast<int64_t>(plane.row_bytes);
  visit_operand(plane.base, bytes, access, f);
}

template <typename F>
void visit_cache(KvView& kv, int64_t length, Access access, const F& f) {
  visit_plane(kv.k, kv, length, access, f);
  visit_plane(kv.v, kv, length, access, f);
}

template <typename F>
void visit_summaries(SummaryView& view, Access access, const F& f) {
  int64_t floats = 0;
  for (int64_t block = 0; block < view.n_whole; ++block) {
    const int64_t end = view.block(block) - view.base + static_cast<int64_t>(view.summary_floats);
    floats = std::max(floats, end);
  }
  if (floats > 0) visit_operand(view.base, floats, access, f);
  visit_operand(view.open, static_cast<int64_t>(view.summary_floats), access, f);
}

template <typename F>
void for_each_operand(Selection& selection, Access access, const F& f) {
  visit_operand(selection.positions, selection.n_lists * selection.capacity, access, f);
  visit_operand(selection.counts, selection.n_lists, access, f);
}

template <typename F>
void for_each_operand(AppendItem& item, const F& f) {
  const int64_t n = item.n_rows * item.kv.n_kv_heads * item.kv.head_dim;
  visit_operand(item.k, n, Access::kRead, f);
  visit_operand(item.v, n, Access::kRead, f);
  visit_cache(item.kv, item.first_position + item.n_rows, Access::kWrite, f);
}

template <typename F>
void for_each_operand(AttendItem& item, const F& f) {
  const int64_t heads = int64_t{item.n_queries} * item.n_heads;
  visit_operand(item.q, heads * item.kv.head_dim, Access::kRead, f);
  visit_operand(item.out, heads * item.kv.head_dim, Access::kWrite, f);
  visit_cache(item.kv, item.first_position + item.n_queries, Access::kRead, f);
  if (item.selection != nullptr) f(item.selection, Access::kRead);
  visit_operand(item.scores, item.n_heads * (item.first_position + 1), Access::kWrite, f);
  visit_operand(item.log_sum_exp, heads, Access::kWrite, f);
  visit_operand(item.rows, 1, Access::kWrite, f);
}

template <typename F>
void for_each_operand(ScoreItem& item, const F& f) {
  visit_operand(item.q, int64_t{item.n_heads} * item.kv.head_dim, Access::kRead, f);
  visit_cache(item.kv, item.kv.length, Access::kRead, f);
  visit_operand(item.scores, item.n_heads * item.kv.length, Access::kWrite, f);
  visit_operand(item.log_sum_exp, item.n_heads, Access::kWrite, f);
  visit_operand(item.rows, 1, Access::kWrite, f);
}

template <typename F>
void for_each_operand(PageBoundsItem& item, const F& f) {
  visit_cache(item.kv, item.kv.length, Access::kRead, f);
  visit_summaries(item.bounds, Access::kWrite, f);
}

template <typename F>
void for_each_operand(ScorePagesItem& item, const F& f) {
  visit_operand(item.q, int64_t{item.n_heads} * item.head_dim, Access::kRead, f);
  visit_summaries(item.bounds, Access::kRead, f);
  visit_operand(item.scores, item.n_heads * item.n_pages, Access::kWrite, f);
  visit_operand(item.rows, 1, Access::kWrite, f);
}

template <typename F>
void for_each_operand(BlockSumsItem& item, const F& f) {
  visit_cache(item.kv, item.end_row, Access::kRead, f);
  visit_summaries(item.sums, Access::kWrite, f);
}

template <typename F>
void for_each_operand(AttendRestItem& item, const F& f) {
  const int64_t width = int64_t{item.n_heads} * item.head_dim;
  visit_operand(item.q, width, Access::kRead, f);
  visit_operand(item.out, width, Access::kWrite, f);
  visit_operand(item.log_sum_exp, item.n_heads, Access::kRead, f);
  visit_summaries(item.sums, Access::kRead, f);
  visit_operand(item.rows, 1, Access::kWrite, f);
}

template <typename F>
void for_each_operand(TopKItem& item, const F& f) {
  visit_operand(item.scores, item.n_heads * item.n_candidates, Access::kRead, f);
  visit_operand(item.log_sum_exp, item.n_heads, Access::kRead, f);
  f(item.selection, Access::kWrite);
}

// Puts operands where f(pointer, n) says; copies of the Selections are kept in `selections`.
template <typename F>
struct MovingOperands {
  const F& f;
  std::deque<Selection>& selections;

  template <typename T>
  void operator()(T*& pointer, int64_t n, Access /*access*/) const {
    pointer = f(pointer, n);
  }
  template <typename T>
  requires std::is_same_v<std::remove_const_t<T>, Selection>
  void operator()(T*& selection, Access access) const {
    Selection& copy = selections.emplace_back(*selection);
    for_each_operand(copy, access, *this);
    selection = &copy;
  }
};

// Calls `call` with a copy of the items whose operands lie where f(pointer, n) says.
template <typename Item, typename F, typename Call>
void with_operands_at(std::span<const Item> items, const F& f, const Call& call) {
  std::vector<Item> moved(items.begin(), items.end());
  std::deque<Selection> selections;
  for (Item& item : moved) for_each_operand(item, MovingOperands<F>{f, selections});
  call(std::span<const Item>(moved));
}

}  // namespace tidal::test
