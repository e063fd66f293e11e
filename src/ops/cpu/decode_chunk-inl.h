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

// The rows of the same KV head that come some way after those that are worked on: first those of K,
// then those of V, as they stand in task.rows.
class Lookahead {
 public:
  // k_bytes, v_bytes: of one head. v_bytes is 0 where no V follows.
  Lookahead(const ChunkTask& task, size_t k_bytes, size_t v_bytes)
      : rows_(task.rows),
        n_k_(task.n_padded()),
        n_rows_(v_bytes == 0 ? n_k_ : 2 * n_k_),
        k_bytes_(k_bytes),
        v_bytes_(v_bytes) {
    const size_t row_bytes = (task.end_kv_head - task.first_kv_head) * k_bytes;
    const size_t n_blocks = kAheadBytes / (kStepRows * row_bytes);
    distance_ = std::min(n_k_, kStepRows * static_cast<int>(std::max<size_t>(1, n_blocks)));
    const RowsAhead first{rows_, task.first_kv_head * k_bytes};
    for (int row = 0; row < distance_; ++row) first.fetch(row, 0, row_bytes);
  }

  HWY_INLINE RowsAhead from(int row, int kv_head) const {
    row += distance_;
    if (row >= n_rows_) return {};
    return {rows_ + row, kv_head * (row < n_k_ ? k_bytes_ : v_bytes_)};
  }

 private:
  static constexpr size_t kAheadBytes = 16384;

  const std::byte* const* rows_;
  int n_k_;
  int n_rows_;
  int distance_;
  size_t k_bytes_;
  size_t v_bytes_;
};

// task.scores = the scaled products. Returns the rows read.
template <typename T>
HWY_INLINE int64_t score_rows(const ChunkTask& task, const Lookahead& lookahead) {
  const AttendItem& item = *task.item;
  const int head_dim = item.kv.head_dim;
  const int group = item.n_heads / item.kv.n_kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  const size_t head_bytes = packed_bytes<T>(head_dim);
  for_head_tiles(group, [&](auto tile, int first) HWY_ATTR {
    for (int row = 0; row < task.n_padded(); row += kDotRows) {
      for (int kv_head = task.first_kv_head; kv_head < task.end_kv_head; ++kv_head) {
        const int64_t h = kv_head * group + first;
        dot_rows<T, decltype(tile)::value>(item.q + h * head_dim, head_dim, task.rows + row,
                                           kv_head * head_bytes,
                                           first == 0 ? lookahead.from(row, kv_head) : RowsAhead(),
                                           scale, task.scores + h * kChunkRows + row, kChunkRows);
      }
    }
  });
  return int64_t{task.n_rows} * (task.end_kv_head - task.first_kv_head);
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#endif  // per-target include guard
