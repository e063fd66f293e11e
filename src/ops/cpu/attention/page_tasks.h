// for_pages: work on the pages (or blocks) of several items, split into tasks of the thread pool.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/parallel.h"
#include "ops/cpu/attention/attention_scratch.h"

namespace tidal::cpu {

// Runs f(item index, first page, end page) over pages [first_page(i), end_page(i)) of every item,
// at most pages_per_task of them at a time.
template <typename First, typename End, typename F>
void for_pages(ThreadPool& pool, AttentionScratch& scratch, size_t n_items, int64_t pages_per_task,
               First&& first_page, End&& end_page, F&& f) {
  int64_t* first_task = scratch.get<int64_t>(Area::kTasks, static_cast<int64_t>(n_items) + 1);
  first_task[0] = 0;
  for (size_t i = 0; i < n_items; ++i) {
    const int64_t n = std::max<int64_t>(0, end_page(i) - first_page(i));
    first_task[i + 1] = first_task[i] + (n + pages_per_task - 1) / pages_per_task;
  }
  pool.run(first_task[n_items], [&](int64_t task, int) {
    const int64_t* after = std::upper_bound(first_task, first_task + n_items + 1, task);
    const size_t i = static_cast<size_t>(after - first_task) - 1;
    const int64_t begin = first_page(i) + (task - after[-1]) * pages_per_task;
    f(i, begin, std::min(begin + pages_per_task, end_page(i)));
  });
}

}  // namespace tidal::cpu
