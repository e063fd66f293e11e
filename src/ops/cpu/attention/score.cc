// q·k over all rows of the cache: one stream of K, bound by memory bandwidth. Measured on two Zen 4
// threads that read 35 GB/s, 100,000 rows of f16: 82 % of that for 32/8 heads of 128, 86 % for 9/3
// heads of 64. From the second-level cache one core reaches 19 GB/s, bound by multiply-adds and the
// horizontal sum of each product.

#include "ops/cpu/attention/score.h"

#include <algorithm>

#include "base/check.h"
#include "ops/cpu/attention/attention_kernels.h"
#include "ops/cpu/attention/decode_plan.h"
#include "ops/cpu/attention/rows_read.h"
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/score.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "ops/cpu/attention/decode_chunk-inl.h"
#include "ops/cpu/attention/kv_rows-inl.h"
#include "ops/cpu/attention/moments-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

// Scores of the chunk, [n_heads, n_rows of all chunks]; moments: null or [n_heads]. Returns the
// number of rows read.
int64_t score_chunk(const ChunkTask& task, float* scores, int64_t stride, Moments* moments) {
  const Lookahead lookahead(task, /*with_values=*/false);
  int64_t n_read = 0;
  with_row_type(task.item->kv.k.dtype, [&](auto type) HWY_ATTR {
    n_read = score_rows<std::remove_cvref_t<decltype(*type)>>(task, lookahead);
  });
  for (int32_t h = 0; h < task.item->n_heads; ++h) {
    std::copy_n(task.scores + h * kChunkRows, task.n_rows, scores + h * stride + task.begin);
    if (moments != nullptr) moments[h] = measure_scores(task.scores + h * kChunkRows, task.n_rows);
  }
  return n_read;
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(score_chunk);

void reserve_score(AttentionScratch& scratch, const BackendLimits& limits) {
  scratch.get<Moments>(Area::kMoments,
                       limits.max_sequences * chunk_count(limits.max_context) * limits.n_heads);
}

void score(ThreadPool& pool, AttentionScratch& scratch, std::span<const ScoreItem> items) {
  int64_t* first_task = scratch.get<int64_t>(Area::kTasks, static_cast<int64_t>(items.size()) + 1);
  first_task[0] = 0;
  int32_t max_heads = 0;
  for (size_t i = 0; i < items.size(); ++i) {
    TIDAL_CHECK(items[i].n_heads % items[i].kv.n_kv_heads == 0);
    TIDAL_CHECK(items[i].kv.head_dim > 0 && items[i].kv.head_dim % 8 == 0);
    max_heads = std::max(max_heads, items[i].n_heads);
    first_task[i + 1] = first_task[i] + chunk_count(items[i].kv.length);
  }
  const int64_t worker_bytes = chunk_bytes(max_heads);
  std::byte* workers = scratch.get<std::byte>(Area::kWorker, pool.size() * worker_bytes);
  // [tasks, max_heads]
  auto* moments = scratch.get<Moments>(Area::kMoments, first_task[items.size()] * max_heads);
  pool.run(first_task[items.size()], [&](int64_t i, int worker) {
    const int64_t* after = std::upper_bound(first_task, first_task + items.size() + 1, i);
    const ScoreItem& item = items[static_cast<size_t>(after - first_task) - 1];
    const AttendItem query{.q = item.q, .n_heads = item.n_heads, .kv = item.kv};
    const Walk walk{.n = item.kv.length};
    ChunkTask task{
        .item = &query, .q = item.q, .walk = &walk, .begin = (i - after[-1]) * kChunkRows};
    task.n_rows = static_cast<int>(std::min(kChunkRows, walk.n - task.begin));
    task.end_kv_head = item.kv.n_kv_heads;
    set_memory(task, workers + worker * worker_bytes);
    Moments* own = item.log_sum_exp == nullptr ? nullptr : moments + i * max_heads;
    add_rows(item.rows,
             {.k = HWY_DYNAMIC_DISPATCH(score_chunk)(task, item.scores, item.kv.length, own)});
  });
  for (size_t i = 0; i < items.size(); ++i) {
    for (int32_t h = 0; items[i].log_sum_exp != nullptr && h < items[i].n_heads; ++h) {
      items[i].log_sum_exp[h] = merge_moments(moments + first_task[i] * max_heads + h,
                                              first_task[i + 1] - first_task[i], max_heads);
    }
  }
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
