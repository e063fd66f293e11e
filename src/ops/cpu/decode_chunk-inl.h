// The scaled products of a chunk of rows with all query heads: include once per target.
#if defined(TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_
#undef TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_
#else
#define TIDAL_OPS_CPU_DECODE_CHUNK_INL_H_
#endif

#include <hwy/highway.h>

#include <algorithm>
#include <cmath>

#include "ops/cpu/decode_plan.h"
#include "ops/cpu/kv_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

// Addresses of the chunk's rows. Rows beyond the last repeat it, so that blocks of 16 are whole.
HWY_INLINE void find_rows(const ChunkTask& task, const KvPlane& plane, const std::byte** rows) {
  const KvView& kv = task.item->kv;
  int i = 0;
  if (task.walk->positions == nullptr) {
    for (; i < task.n_rows; i += kPageRows) {
      const std::byte* page = kv.row(plane, task.begin + i);
      for (int r = 0; r < kPageRows; ++r) rows[i + r] = page + r * plane.row_bytes;
    }
    i = task.n_rows;
  } else {
    const int32_t* positions = task.walk->positions + task.begin;
    for (; i < task.n_rows; ++i) rows[i] = kv.row(plane, positions[i]);
  }
  for (; i < task.n_padded(); ++i) rows[i] = rows[task.n_rows - 1];
}

// What to fetch while some rows of one KV head are worked on: what comes kAheadBytes later, first
// the rows of K, then those of V, the KV heads side by side within each step of some rows.
class Lookahead {
 public:
  Lookahead(const ChunkTask& task, size_t head_bytes) : task_(task), head_bytes_(head_bytes) {
    const int n_heads = task.end_kv_head - task.first_kv_head;
    const int n = std::max(1, kAheadBytes / static_cast<int>(kStepRows * head_bytes));
    rows_ = n / n_heads * kStepRows;
    heads_ = n % n_heads;
  }

  // Fetches what from() will never name, as it comes before the first thing it names.
  HWY_INLINE void begin() const {
    const int n_rows = std::min(rows_ + (heads_ > 0 ? kStepRows : 0), task_.n_padded());
    const size_t n_bytes = (task_.end_kv_head - task_.first_kv_head) * head_bytes_;
    const RowsAhead first{task_.rows, task_.first_kv_head * head_bytes_};
    for (int row = 0; row < n_rows; ++row) first.fetch(row, 0, n_bytes);
  }

  // row: of K, or of V counted on from the last row of K.
  HWY_INLINE RowsAhead from(int row, int kv_head) const {
    row += rows_;
    kv_head += heads_;
    if (kv_head >= task_.end_kv_head) {
      kv_head -= task_.end_kv_head - task_.first_kv_head;
      row += kStepRows;
    }
    const int n_rows = task_.n_padded();
    if (row >= 2 * n_rows) return {};
    const int64_t index = row < n_rows ? row : kChunkRows + row - n_rows;
    return {task_.rows + index, kv_head * head_bytes_};
  }

 private:
  static constexpr int kAheadBytes = 16384;

  const ChunkTask& task_;
  const size_t head_bytes_;
  int rows_ = 0;
  int heads_ = 0;
};

// task.scores = the scaled products. Returns the rows read.
template <typename T>
HWY_INLINE int64_t score_rows(const ChunkTask& task) {
  const AttendItem& item = *task.item;
  const int head_dim = item.kv.head_dim;
  const int group = item.n_heads / item.kv.n_kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const size_t head_bytes = static_cast<size_t>(head_dim) * sizeof(T);
  const Lookahead lookahead(task, head_bytes);
  lookahead.begin();
  int64_t n_read = 0;
  for (int row = 0; row < task.n_rows; row += kStepRows) {
    for (int kv_head = task.first_kv_head; kv_head < task.end_kv_head; ++kv_head) {
      RowsAhead ahead = lookahead.from(row, kv_head);
      for_head_tiles(group, [&](auto tile, int first) HWY_ATTR {
        const int64_t h = kv_head * group + first;
        dot_rows<T, decltype(tile)::value>(item.q + h * head_dim, head_dim, task.rows + row,
                                           kv_head * head_bytes, ahead, scale,
                                           task.scores + h * kChunkRows + row, kChunkRows);
        ahead = {};
      });
      n_read += std::min(kStepRows, task.n_rows - row);
    }
  }
  return n_read;
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
