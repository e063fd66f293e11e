// SequenceKv: the cached rows of one sequence, a page table over a PagePool.
//
// Owns its references to pages and gives them back when destroyed; the pool must outlive it. Every
// row in [0, length) is valid in every layer once the step that appended it has finished.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kv/page_pool.h"

namespace tidal {

class SequenceKv {
 public:
  // max_length bounds the page table, which is reserved here: growing later does not allocate.
  SequenceKv(PagePool& pool, int64_t max_length);
  // Starts with the rows of whole pages that others hold too, in this order.
  SequenceKv(PagePool& pool, int64_t max_length, std::span<const int32_t> pages);
  ~SequenceKv();
  SequenceKv(SequenceKv&& other) noexcept;
  SequenceKv& operator=(SequenceKv&&) = delete;  // a moved-from sequence may only be destroyed

  PagePool& pool() const { return *pool_; }
  int64_t length() const { return length_; }
  int64_t max_length() const { return max_length_; }

  // Pages that growing by n rows would take from the pool (copies on write included).
  int64_t pages_needed(int64_t n_rows) const;
  // Makes n more rows writable and part of length(), copying a shared last page that they would
  // write into. False, changing nothing, if the pool has too few pages or max_length would be
  // exceeded. To rewrite rows, truncate to before them and grow again.
  [[nodiscard]] bool grow(int64_t n_rows);
  // Keeps the first `length` rows (<= length()) and gives the other pages back.
  void truncate(int64_t length);
  // A second sequence with the same rows; pages are shared until either writes.
  SequenceKv fork() const;

  KvView view(int32_t layer) const;
  std::span<const int32_t> pages() const { return pages_; }  // physical ones, in order

 private:
  bool last_page_needs_copy() const;

  PagePool* pool_;
  int64_t max_length_;
  int64_t length_ = 0;
  std::vector<int32_t> pages_;  // [ceil(length / kPageRows)]
};

}  // namespace tidal
