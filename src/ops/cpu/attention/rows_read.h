// Adds the rows a task has read to its item's count; tasks of one item run on several threads.
#pragma once

#include <atomic>

#include "ops/selection.h"

namespace tidal::cpu {

inline void add_rows(RowsRead* total, const RowsRead& read) {
  if (total == nullptr) return;
  std::atomic_ref<int64_t>(total->k).fetch_add(read.k, std::memory_order_relaxed);
  std::atomic_ref<int64_t>(total->v).fetch_add(read.v, std::memory_order_relaxed);
}

}  // namespace tidal::cpu
