// The scaled products of a chunk of rows with all queries and heads: include once per target.
#if defined(TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_
#undef TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_
#else
#define TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "ops/cpu/attention/decode_plan.h"
#include "ops/cpu/attention/kv_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

// Addresses of rows [begin, end) of the task's walk, from its first KV head on. The last row's
// address is repeated to fill the last block of 16. Returns the end of the addresses.
HWY_INLINE const std::byte** find_rows(const ChunkTask& task, const KvPlane& plane, int64_t begin,
                                       int64_t end, const std::byte** rows) {
  const KvView& kv = task.item->kv;
  const size_t offset = task.first_kv_head * dtype_row_bytes(plane.dtype, kv.head_dim);
  const int n = static_cast<int>(end - begin);
  const int n_padded = padded_rows(n);
  int i = 0;
  if (task.walk->positions == nullptr) {
    for (; i < n; i += kPageRows) {
      const std::byte* page = kv.row(plane, begin + i) + offset;
      for (int r = 0; r < kPageRows; ++r) rows[i + r] = page + r * plane.row_bytes;
    }
    i = n;
  } else {
    for (; i < n; ++i) rows[i] = kv.row(plane, task.walk->positions[begin + i]) + offset;
  }
  for (; i < n_padded; ++i) rows[i] = rows[n - 1];
  return rows + n_padded;
}

// Finds the task's rows and says which to prefetch, some way ahead of those in work: K's, then V's
// if needed, then the first K rows of the next chunk, which the same worker is likely to do next.
class Lookahead {
 public:
  Lookahead(const ChunkTask& task, bool with_values) : rows_(task.rows) {
    const KvView& kv = task.item->kv;
    const int32_t n_heads = task.end_kv_head - task.first_kv_head;
    in_pages_ = task.walk->positions == nullptr && n_heads == kv.n_kv_heads;
    head_bytes_ = dtype_row_bytes(kv.k.dtype, kv.head_dim);
    const auto row_bytes = static_cast<int>(n_heads * head_bytes_);
    distance_ = std::min<int>(padded_rows(kAheadBytes / row_bytes + 1), kChunkRows);
    const int64_t end = task.begin + task.n_rows;
    const std::byte** found = find_rows(task, kv.k, task.begin, end, task.rows);
    n_k_ = static_cast<int>(found - task.rows);
    if (with_values) {
      // One head's work touches all rows of a step before the next head begins.
      distance_ = std::min<int>(distance_ + kStepRows, kChunkRows);
      found = find_rows(task, kv.v, task.begin, end, found);
    }
    const int64_t next_end = std::min(end + distance_, task.walk->n);
    if (next_end > end) found = find_rows(task, kv.k, end, next_end, found);
    n_rows_ = static_cast<int>(found - task.rows);
    for (int row = 0; row < std::min(distance_, n_k_); ++row) Ahead::fetch(rows_[row], row_bytes);
  }

  // What to prefetch while a tile of n rows from `row` on (V's come after K's) is multiplied for
  // one KV head, the head-th of the task.
  HWY_INLINE Ahead from(int row, int n, int head) const {
    row += distance_;
    if (row >= n_rows_) return {};
    if (in_pages_) return {.lines = rows_[row] + static_cast<size_t>(n * head) * head_bytes_};
    return {.rows = rows_ + row, .offset = static_cast<size_t>(head) * head_bytes_};
  }
  const std::byte* const* k_rows() const { return rows_; }
  const std::byte* const* v_rows() const { return rows_ + n_k_; }

 private:
  static constexpr int kAheadBytes = 8192;

  const std::byte* const* rows_;
  int n_k_;
  int n_rows_;
  int distance_;
  bool in_pages_;  // rows of a page are read whole, one after the other
  size_t head_bytes_;
};

// task.scores = the scaled products. Returns the number of rows read.
template <typename T>
HWY_INLINE int64_t score_rows(const ChunkTask& task, const Lookahead& lookahead) {
  const AttendItem& item = *task.item;
  const int head_dim = item.kv.head_dim;
  const int columns = task.columns();
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const size_t head_bytes = packed_bytes<T>(head_dim);
  for_head_tiles(columns, [&](auto tile, int first) HWY_ATTR {
    for (int row = 0; row < task.n_padded(); row += kDotRows) {
      for (int kv_head = task.first_kv_head; kv_head < task.end_kv_head; ++kv_head) {
        const int64_t c = kv_head * columns + first;
        const int head = kv_head - task.first_kv_head;
        dot_rows<T, decltype(tile)::value>(
            task.q + c * head_dim, head_dim, lookahead.k_rows() + row, head * head_bytes,
            first == 0 ? lookahead.from(row, kDotRows, head) : Ahead(), scale,
            task.scores + c * kChunkRows + row, kChunkRows);
      }
    }
  });
  return int64_t{task.n_rows} * (task.end_kv_head - task.first_kv_head);
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
