// Sums of K and V over blocks of rows, and attention to their means. The sums are float rows that
// stay in a core's cache between steps except for very long contexts; building those of a prompt is
// memory-bound.

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/cpu/attention/attention_kernels.h"
#include "ops/cpu/attention/page_tasks.h"
#include "ops/cpu/attention/rows_read.h"
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/rest.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "ops/cpu/attention/kv_rows-inl.h"
#include "ops/cpu/exp-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

constexpr int kGroupBlocks = 16;  // scores before their exponentials are computed

// sum: [width], a multiple of 8. Rows are added one at a time in order of position, so that sums do
// not depend on how many came in a call.
template <typename T>
HWY_INLINE void add_block_rows(const KvView& kv, const KvPlane& plane, int64_t begin, int64_t end,
                               int64_t width, float* sum) {
  const Float8 d;
  for (int64_t i = begin; i < end; ++i) {
    const T* row = reinterpret_cast<const T*>(kv.row(plane, i));
    for (int j = 0; j < width; j += static_cast<int>(hn::Lanes(d))) {
      hn::StoreU(hn::Add(hn::LoadU(d, sum + j), load_floats(d, row, j)), d, sum + j);
    }
  }
}

void sum_block(const BlockSumsItem& item, int64_t block) {
  const int64_t width = int64_t{item.kv.n_kv_heads} * item.kv.head_dim;
  const int64_t first = block * item.sums.block_rows;
  float* sums = item.sums.block(block);
  if (item.first_row <= first) {
    std::fill_n(sums, 2 * width, 0.0f);
  } else if (sums != item.sums.open) {
    std::copy_n(item.sums.open, 2 * width, sums);
  }
  const int64_t begin = std::max({first, item.first_row, item.skip_rows});
  const int64_t end = std::min(first + item.sums.block_rows, item.end_row);
  for (const bool values : {false, true}) {
    const KvPlane& plane = values ? item.kv.v : item.kv.k;
    with_row_type(plane.dtype, [&](auto type) HWY_ATTR {
      using T = std::remove_cvref_t<decltype(*type)>;
      add_block_rows<T>(item.kv, plane, begin, end, width, sums + (values ? width : 0));
    });
  }
}

// out = out * factor
HWY_INLINE void scale_row(float* out, int head_dim, float factor) {
  const Float8 d;
  for (int j = 0; j < head_dim; j += static_cast<int>(hn::Lanes(d))) {
    hn::StoreU(hn::Mul(hn::LoadU(d, out + j), hn::Set(d, factor)), d, out + j);
  }
}

HWY_INLINE float dot_rows(const float* a, const float* b, int head_dim) {
  const Float8 d;
  auto sum = hn::Zero(d);
  for (int j = 0; j < head_dim; j += static_cast<int>(hn::Lanes(d))) {
    sum = hn::Add(sum, hn::Mul(hn::LoadU(d, a + j), hn::LoadU(d, b + j)));
  }
  return hn::GetLane(hn::SumOfLanes(d, sum));
}

// One query head. Weights are relative to exp(top), which grows with the scores.
HWY_INLINE void attend_blocks(const AttendRestItem& item, int32_t head) {
  const Float8 d;
  const int head_dim = item.head_dim;
  const int64_t width = int64_t{item.n_kv_heads} * head_dim;
  const int32_t block_rows = item.sums.block_rows;
  const int64_t n_blocks = (item.end_row + block_rows - 1) / block_rows;
  const float* q = item.q + int64_t{head} * head_dim;
  float* out = item.out + int64_t{head} * head_dim;
  const int64_t offset = int64_t{head / (item.n_heads / item.n_kv_heads)} * head_dim;
  const float scale = 1.0f / std::sqrt(static_cast<float>(head_dim));
  float top = item.log_sum_exp[head];
  float total = 1.0f;
  for (int64_t first = item.skip_rows / block_rows; first < n_blocks; first += kGroupBlocks) {
    const int n = static_cast<int>(std::min<int64_t>(kGroupBlocks, n_blocks - first));
    const float* sums[kGroupBlocks];
    float counts[kGroupBlocks];
    float weights[kGroupBlocks];
    float highest = top;
    for (int b = 0; b < n; ++b) {
      sums[b] = item.sums.block(first + b) + offset;
      counts[b] =
          static_cast<float>(rows_in_block(first + b, block_rows, item.skip_rows, item.end_row));
      weights[b] = dot_rows(q, sums[b], head_dim) * scale / std::max(counts[b], 1.0f);
      highest = std::max(highest, weights[b]);
    }
    const float shrink = std::exp(top - highest);
    if (shrink < 1.0f) scale_row(out, head_dim, shrink);
    total *= shrink;
    top = highest;
    for (int b = n; b < kGroupBlocks; ++b) weights[b] = top;
    for (int b = 0; b < kGroupBlocks; b += static_cast<int>(hn::Lanes(d))) {
      hn::StoreU(fast_exp(d, hn::Sub(hn::LoadU(d, weights + b), hn::Set(d, top))), d, weights + b);
    }
    for (int b = 0; b < n; ++b) {
      total += weights[b] * counts[b];
      const float* v = sums[b] + width;
      const auto weight = hn::Set(d, weights[b]);
      for (int j = 0; j < head_dim; j += static_cast<int>(hn::Lanes(d))) {
        hn::StoreU(hn::MulAdd(weight, hn::LoadU(d, v + j), hn::LoadU(d, out + j)), d, out + j);
      }
    }
  }
  scale_row(out, head_dim, 1.0f / total);
}

void attend_rest_of_kv_head(const AttendRestItem& item, int32_t kv_head) {
  const int32_t group = item.n_heads / item.n_kv_heads;
  for (int32_t h = 0; h < group; ++h) attend_blocks(item, kv_head * group + h);
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(sum_block);
HWY_EXPORT(attend_rest_of_kv_head);

void update_block_sums(ThreadPool& pool, AttentionScratch& scratch,
                       std::span<const BlockSumsItem> items) {
  constexpr int64_t kRowsPerTask = 1024;
  int32_t most_rows = 1;
  for (const BlockSumsItem& item : items) {
    const int64_t rows = item.sums.block_rows;
    TIDAL_CHECK(rows > 0 && item.first_row >= 0 && item.end_row <= item.kv.length);
    TIDAL_CHECK(item.first_row % rows == 0 || item.end_row - item.first_row / rows * rows <= rows);
    TIDAL_CHECK(item.kv.head_dim % 8 == 0);
    most_rows = std::max(most_rows, item.sums.block_rows);
  }
  for_pages(
      pool, scratch, items.size(), std::max<int64_t>(1, kRowsPerTask / most_rows),
      [&](size_t i) { return items[i].first_row / items[i].sums.block_rows; },
      [&](size_t i) {
        const int64_t rows = items[i].sums.block_rows;
        return items[i].first_row >= items[i].end_row ? int64_t{0}
                                                      : (items[i].end_row + rows - 1) / rows;
      },
      [&](size_t i, int64_t begin, int64_t end) {
        for (int64_t b = begin; b < end; ++b) HWY_DYNAMIC_DISPATCH(sum_block)(items[i], b);
      });
}

void attend_rest(ThreadPool& pool, std::span<const AttendRestItem> items) {
  if (items.empty()) return;
  const int32_t n_kv_heads = items.front().n_kv_heads;
  for (const AttendRestItem& item : items) {
    TIDAL_CHECK(item.n_kv_heads == n_kv_heads && item.n_heads % n_kv_heads == 0);
    TIDAL_CHECK(item.head_dim > 0 && item.head_dim % 8 == 0 && item.sums.block_rows > 0);
  }
  pool.run(std::ssize(items) * n_kv_heads, [&](int64_t task, int) {
    const AttendRestItem& item = items[static_cast<size_t>(task / n_kv_heads)];
    if (item.end_row <= item.skip_rows) return;
    HWY_DYNAMIC_DISPATCH(attend_rest_of_kv_head)
    (item, static_cast<int32_t>(task % n_kv_heads));
    const int64_t rows = item.sums.block_rows;
    const int64_t n_blocks = (item.end_row + rows - 1) / rows - item.skip_rows / rows;
    add_rows(item.rows, {.k = n_blocks, .v = n_blocks});
  });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
