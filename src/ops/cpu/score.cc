// q·k over all rows of the cache: one stream of K, bound by memory bandwidth.

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/cpu/attention_kernels.h"
#include "ops/cpu/decode_plan.h"
#include "ops/cpu/rows_read.h"
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/score.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "ops/cpu/kv_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

// Scores of rows [begin, end). Returns the rows read.
template <typename T>
HWY_INLINE int64_t score_rows_of(const ScoreItem& item, int64_t begin, int64_t end) {
  const KvView& kv = item.kv;
  const int group = item.n_heads / kv.n_kv_heads;
  const size_t head_bytes = static_cast<size_t>(kv.head_dim) * sizeof(T);
  const float scale = 1.0f / std::sqrt(static_cast<float>(kv.head_dim));
  const std::byte* rows[kPageRows];
  float sums[kHeadTile * kPageRows];
  int64_t n_read = 0;
  for (int64_t first = begin; first < end; first += kPageRows) {
    const int n = static_cast<int>(std::min<int64_t>(kPageRows, end - first));
    for (int i = 0; i < kPageRows; ++i) rows[i] = kv.k_row(first + std::min(i, n - 1));
    const int64_t next_page = std::min(first + kPageRows, end - 1);
    const std::byte* next = kv.k_row(next_page);
    for (int kv_head = 0; kv_head < kv.n_kv_heads; ++kv_head) {
      const size_t offset = kv_head * head_bytes;
      for (int i = 0; i < std::min<int64_t>(kPageRows, end - next_page); ++i) {
        prefetch_bytes(next + i * kv.k.row_bytes + offset, static_cast<int>(head_bytes));
      }
      for_head_tiles(group, [&](auto tile, int head) HWY_ATTR {
        const int64_t h = kv_head * group + head;
        dot_rows<T, decltype(tile)::value>(item.q + h * kv.head_dim, kv.head_dim, rows, offset,
                                           scale, sums, kPageRows);
        for (int t = 0; t < decltype(tile)::value; ++t) {
          std::copy_n(sums + t * kPageRows, n, item.scores + (h + t) * kv.length + first);
        }
      });
      n_read += n;
    }
  }
  return n_read;
}

int64_t score_chunk(const ScoreItem& item, int64_t begin, int64_t end) {
  int64_t n_read = 0;
  with_row_type(item.kv.k.dtype, [&](auto type) HWY_ATTR {
    n_read = score_rows_of<std::remove_cvref_t<decltype(*type)>>(item, begin, end);
  });
  return n_read;
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(score_chunk);

void score(ThreadPool& pool, AttentionScratch& scratch, std::span<const ScoreItem> items) {
  int64_t* first_task = scratch.get<int64_t>(Area::kTasks, static_cast<int64_t>(items.size()) + 1);
  first_task[0] = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    TIDAL_CHECK(items[i].n_heads % items[i].kv.n_kv_heads == 0);
    TIDAL_CHECK(items[i].kv.head_dim > 0 && items[i].kv.head_dim % 8 == 0);
    first_task[i + 1] = first_task[i] + chunk_count(items[i].kv.length);
  }
  pool.run(first_task[items.size()], [&](int64_t task, int) {
    const int64_t* after = std::upper_bound(first_task, first_task + items.size() + 1, task);
    const ScoreItem& item = items[static_cast<size_t>(after - first_task) - 1];
    const int64_t begin = (task - after[-1]) * kChunkRows;
    const int64_t end = std::min(begin + kChunkRows, item.kv.length);
    add_rows(item.rows, {.k = HWY_DYNAMIC_DISPATCH(score_chunk)(item, begin, end)});
  });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
