#include "ops/cpu/attention/attend_decode.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/cpu/attention/decode_plan.h"
#include "ops/cpu/attention/rows_read.h"
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/attend_decode.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "ops/cpu/attention/decode_chunk-inl.h"
#include "ops/cpu/attention/kv_rows-inl.h"
#include "ops/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

// Rows the head does not read, and those beyond the first n, get a score of -infinity.
HWY_INLINE void mask_scores(const ChunkTask& task, int32_t head, int n, float* scores) {
  constexpr float kNone = -std::numeric_limits<float>::infinity();
  const Walk& walk = *task.walk;
  if (walk.members != nullptr) {
    const int group = task.item->n_heads / task.item->kv.n_kv_heads;
    const uint16_t* members =
        walk.members + (head % group) * walk.member_stride + task.begin / kPageRows;
    for (int i = 0; i < n; ++i) {
      if ((members[i / kPageRows] >> (i % kPageRows) & 1) == 0) scores[i] = kNone;
    }
  }
  std::fill(scores + n, scores + padded_rows(n), kNone);
}

// scores = exp(scores - their maximum), n a multiple of 16.
HWY_INLINE void exponentials(float* scores, int n, float* maximum, float* total) {
  const FloatTag d;
  FloatVec top = hn::LoadU(d, scores);
  for (int i = kLanes; i < n; i += kLanes) top = hn::Max(top, hn::LoadU(d, scores + i));
  *maximum = hn::GetLane(hn::MaxOfLanes(d, top));
  *total = 0;
  if (*maximum == -std::numeric_limits<float>::infinity()) {
    std::fill_n(scores, n, 0.0f);
    return;
  }
  const FloatVec shift = hn::Set(d, *maximum);
  FloatVec sum = hn::Zero(d);
  for (int i = 0; i < n; i += kLanes) {
    const FloatVec e = fast_exp(d, hn::Sub(hn::LoadU(d, scores + i), shift));
    hn::StoreU(e, d, scores + i);
    sum = hn::Add(sum, e);
  }
  *total = hn::GetLane(hn::SumOfLanes(d, sum));
}

// Adds the rows of V, weighted by the exponentials. Returns the rows read. Rows that not all
// queries see are added query by query: a weight of 0 would not preserve every bit.
template <typename T, bool kMasked>
HWY_INLINE int64_t sum_chunk(const ChunkTask& task, const Lookahead& lookahead) {
  const AttendItem& item = *task.item;
  const int head_dim = item.kv.head_dim;
  const int columns = task.columns();
  const int group = columns / item.n_queries;
  const size_t head_bytes = packed_bytes<T>(head_dim);
  int64_t n_read = 0;
  for (int row = 0; row < task.n_rows; row += kStepRows) {
    const int n = std::min(kStepRows, task.n_rows - row);
    const int run = task.rows_seen(0) >= row + n ? columns : group;
    for (int kv_head = task.first_kv_head; kv_head < task.end_kv_head; ++kv_head) {
      const int head = kv_head - task.first_kv_head;
      Ahead ahead = lookahead.from(task.n_padded() + row, n, head);
      for (int column = 0; column < columns; column += run) {
        const int n_seen = std::clamp(task.rows_seen(column / group) - row, 0, n);
        if (n_seen == 0) continue;
        for_head_tiles(run, [&](auto tile, int first) HWY_ATTR {
          const int64_t c = kv_head * columns + column + first;
          sum_rows<T, decltype(tile)::value, kMasked>(
              task.scores + c * kChunkRows + row, kChunkRows, lookahead.v_rows() + row, n_seen,
              head * head_bytes, ahead, head_dim, task.partial + c * head_dim);
          ahead = {};
        });
      }
      n_read += n;
    }
  }
  return n_read;
}

void attend_chunk(const ChunkTask& task, RowsRead* rows_read) {
  const AttendItem& item = *task.item;
  const int32_t head_dim = item.kv.head_dim;
  const int32_t columns = task.columns();
  const int32_t group = columns / item.n_queries;
  float* maxima = task.partial + int64_t{all_columns_of(item)} * head_dim;
  float* totals = maxima + all_columns_of(item);
  const Lookahead lookahead(task, /*with_values=*/true);
  with_row_type(item.kv.k.dtype, [&](auto type) HWY_ATTR {
    rows_read->k = score_rows<std::remove_cvref_t<decltype(*type)>>(task, lookahead);
  });
  for (int32_t c = task.first_kv_head * columns; c < task.end_kv_head * columns; ++c) {
    float* scores = task.scores + c * kChunkRows;
    if (item.scores != nullptr) {
      std::copy_n(scores, task.n_rows, item.scores + c * (item.first_position + 1) + task.begin);
    }
    std::fill_n(task.partial + int64_t{c} * head_dim, head_dim, 0.0f);
    const int n_seen = task.rows_seen(c % columns / group);
    if (n_seen == 0) continue;  // a chunk this query alone would not have
    mask_scores(task, c, n_seen, scores);
    exponentials(scores, padded_rows(n_seen), maxima + c, totals + c);
  }
  with_row_type(item.kv.v.dtype, [&](auto type) HWY_ATTR {
    using T = std::remove_cvref_t<decltype(*type)>;
    rows_read->v = task.walk->members == nullptr ? sum_chunk<T, false>(task, lookahead)
                                                 : sum_chunk<T, true>(task, lookahead);
  });
}

// Merges the partial results of one query and head in the order of their chunks.
void merge_chunks(const DecodePlan& plan, const float* partials, int32_t query, int32_t head) {
  const AttendItem& item = *plan.item;
  const int32_t head_dim = item.kv.head_dim;
  const int32_t group = item.n_heads / item.kv.n_kv_heads;
  const int32_t kv_head = head / group;
  const int64_t column = kv_head * columns_of(item) + query * group + head % group;
  const int64_t n_rows = plan.walk(kv_head).n - (item.n_queries - 1 - query);
  const int64_t n_chunks = chunk_count(n_rows);
  const int64_t maxima = int64_t{all_columns_of(item)} * head_dim;
  const int64_t totals = maxima + all_columns_of(item);
  float maximum = -std::numeric_limits<float>::infinity();
  for (int64_t c = 0; c < n_chunks; ++c) {
    maximum = std::max(maximum, partials[c * plan.partial_stride + maxima + column]);
  }
  const int64_t row = int64_t{query} * item.n_heads + head;
  float* out = item.out + row * head_dim;
  std::fill_n(out, head_dim, 0.0f);
  float total = 0;
  for (int64_t c = 0; c < n_chunks; ++c) {
    const float* partial = partials + c * plan.partial_stride;
    if (partial[totals + column] == 0) continue;
    const float weight = std::exp(partial[maxima + column] - maximum);
    total += weight * partial[totals + column];
    for (int32_t j = 0; j < head_dim; ++j) out[j] += weight * partial[column * head_dim + j];
  }
  const float inverse = total > 0 ? 1.0f / total : 0.0f;
  for (int32_t j = 0; j < head_dim; ++j) out[j] *= inverse;
  if (item.log_sum_exp != nullptr) item.log_sum_exp[row] = maximum + std::log(total);
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(attend_chunk);
HWY_EXPORT(merge_chunks);

namespace {

const DecodePlan& plan_of_task(const DecodeCall& call, int64_t task) {
  size_t low = 0;
  for (size_t high = call.plans.size(); high - low > 1;) {
    const size_t middle = (low + high) / 2;
    (call.plans[middle].first_task <= task ? low : high) = middle;
  }
  return call.plans[low];
}

}  // namespace

void reserve_decode(AttentionScratch& scratch, const BackendLimits& limits, int n_threads) {
  const int64_t n_items = limits.max_sequences;
  // An item's last chunk may be almost empty.
  const int64_t n_chunks = chunk_count(scratch.wave_rows()) + n_items;
  const int64_t n_rows = scratch.wave_rows() * limits.n_kv_heads;
  const int64_t columns = limits.n_heads * std::min<int64_t>(kMaxStepQueries, limits.max_rows);
  scratch.get<const AttendItem*>(Area::kItems, n_items);
  scratch.get<DecodePlan>(Area::kPlans, n_items);
  scratch.get<Walk>(Area::kWalks, n_items * limits.n_kv_heads);
  scratch.get<int64_t>(Area::kTasks, n_items * limits.n_kv_heads * 4 + 1);
  scratch.get<int32_t>(Area::kUnion, n_rows);
  scratch.get<uint16_t>(Area::kMembers,
                        (n_chunks * kChunkRows / kPageRows) * int64_t{limits.n_heads});
  scratch.get<float>(Area::kQueries, limits.max_rows * limits.n_heads * limits.head_dim);
  scratch.get<float>(Area::kPartials, n_chunks * partial_floats(columns, limits.head_dim));
  scratch.get<std::byte>(Area::kWorker, n_threads * chunk_bytes(columns));
}

void attend_decode(ThreadPool& pool, AttentionScratch& scratch,
                   std::span<const AttendItem* const> items) {
  const DecodeCall call = plan_decode(pool, scratch, items);
  float* partials = scratch.get<float>(Area::kPartials, call.partial_floats);
  const int64_t worker_bytes = chunk_bytes(call.max_columns);
  std::byte* workers = scratch.get<std::byte>(Area::kWorker, pool.size() * worker_bytes);
  pool.run(call.n_tasks, [&](int64_t i, int worker) {
    const DecodePlan& plan = plan_of_task(call, i);
    // Chunk by chunk for the same heads: a task begins where its worker's last one prefetched.
    const int64_t chunk = (i - plan.first_task) % plan.n_chunks;
    const int32_t part = static_cast<int32_t>((i - plan.first_task) / plan.n_chunks);
    ChunkTask task{.item = plan.item, .q = plan.q(), .begin = chunk * kChunkRows};
    task.first_kv_head = part * plan.heads_per_task;
    task.end_kv_head = std::min(task.first_kv_head + plan.heads_per_task, plan.item->kv.n_kv_heads);
    task.walk = &plan.walk(task.first_kv_head);
    if (task.begin >= task.walk->n) return;
    task.n_rows = static_cast<int>(std::min(kChunkRows, task.walk->n - task.begin));
    task.partial = partials + plan.first_partial + chunk * plan.partial_stride;
    set_memory(task, workers + worker * worker_bytes);
    RowsRead read;
    HWY_DYNAMIC_DISPATCH(attend_chunk)(task, &read);
    add_rows(plan.item->rows, read);
  });
  const int32_t max_columns = call.max_columns;
  pool.run(static_cast<int64_t>(items.size()) * max_columns, [&](int64_t i, int) {
    const DecodePlan& plan = call.plans[static_cast<size_t>(i / max_columns)];
    const int32_t row = static_cast<int32_t>(i % max_columns);
    const int32_t n_heads = plan.item->n_heads;
    if (row >= all_columns_of(*plan.item)) return;
    HWY_DYNAMIC_DISPATCH(merge_chunks)
    (plan, partials + plan.first_partial, row / n_heads, row % n_heads);
  });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
