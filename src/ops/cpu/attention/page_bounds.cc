// Quest's page bounds: the element-wise minimum and maximum of K, and the upper bound on q·k they
// give. Memory-bound: two float rows stand for page_rows rows of the cache.

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/cpu/attention/attention_kernels.h"
#include "ops/cpu/attention/page_tasks.h"
#include "ops/cpu/attention/rows_read.h"
#include "ops/cpu/simd_targets.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "ops/cpu/attention/page_bounds.cc"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "ops/cpu/attention/kv_rows-inl.h"

HWY_BEFORE_NAMESPACE();
namespace tidal::cpu {
namespace HWY_NAMESPACE {

// width: a multiple of 8. low, high: [width]
template <typename T>
HWY_INLINE void bound_rows(const KvView& kv, int64_t begin, int64_t end, float* low, float* high) {
  const Float8 d;
  const int width = kv.n_kv_heads * kv.head_dim;
  for (int j = 0; j < width; j += static_cast<int>(hn::Lanes(d))) {
    auto least = load_floats(d, reinterpret_cast<const T*>(kv.k_row(begin)), j);
    auto most = least;
    for (int64_t i = begin + 1; i < end; ++i) {
      const auto k = load_floats(d, reinterpret_cast<const T*>(kv.k_row(i)), j);
      least = hn::Min(least, k);
      most = hn::Max(most, k);
    }
    hn::StoreU(least, d, low + j);
    hn::StoreU(most, d, high + j);
  }
}

void bound_page(const PageBoundsItem& item, int64_t page) {
  const int64_t width = int64_t{item.kv.n_kv_heads} * item.kv.head_dim;
  const int64_t begin = page * item.bounds.block_rows;
  const int64_t end = std::min(begin + item.bounds.block_rows, item.kv.length);
  float* low = item.bounds.block(page);
  with_row_type(item.kv.k.dtype, [&](auto type) HWY_ATTR {
    using T = std::remove_cvref_t<decltype(*type)>;
    bound_rows<T>(item.kv, begin, end, low, low + width);
  });
}

// scores[h] of 4 pages for the query heads of one KV head. bounds: the pages' minima of KV head 0;
// that head's are at `offset`.
HWY_INLINE void score_4_pages(const float* q, int group, int head_dim, const float* const* bounds,
                              int64_t offset, int64_t width, float scale, int n, float* scores,
                              int64_t stride) {
  const Float8 d;
  for (int h = 0; h < group; ++h) {
    hn::Vec<Float8> sum[4];
    for (int p = 0; p < 4; ++p) sum[p] = hn::Zero(d);
    for (int j = 0; j < head_dim; j += static_cast<int>(hn::Lanes(d))) {
      const auto qv = hn::LoadU(d, q + h * head_dim + j);
      for (int p = 0; p < 4; ++p) {
        const auto low = hn::Mul(qv, hn::LoadU(d, bounds[p] + offset + j));
        const auto high = hn::Mul(qv, hn::LoadU(d, bounds[p] + offset + width + j));
        sum[p] = hn::Add(sum[p], hn::Max(low, high));
      }
    }
    for (int p = 0; p < n; ++p) {
      scores[h * stride + p] = scale * hn::GetLane(hn::SumOfLanes(d, sum[p]));
    }
  }
}

// Scores of pages [begin, end). Returns the number of K rows read.
int64_t score_page_range(const ScorePagesItem& item, int64_t begin, int64_t end) {
  const int64_t width = int64_t{item.n_kv_heads} * item.head_dim;
  const int group = item.n_heads / item.n_kv_heads;
  const float scale = 1.0f / std::sqrt(static_cast<float>(item.head_dim));
  int64_t n_read = 0;
  for (int64_t page = begin; page < end; page += 4) {
    const int n = static_cast<int>(std::min<int64_t>(4, end - page));
    const float* bounds[4];
    for (int p = 0; p < 4; ++p) bounds[p] = item.bounds.block(page + std::min(p, n - 1));
    for (int kv_head = 0; kv_head < item.n_kv_heads; ++kv_head) {
      const int64_t h = kv_head * group;
      score_4_pages(item.q + h * item.head_dim, group, item.head_dim, bounds,
                    int64_t{kv_head} * item.head_dim, width, scale, n,
                    item.scores + h * item.n_pages + page, item.n_pages);
      n_read += 2 * n;
    }
  }
  return n_read;
}

}  // namespace HWY_NAMESPACE
}  // namespace tidal::cpu
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace tidal::cpu {

HWY_EXPORT(bound_page);
HWY_EXPORT(score_page_range);

namespace {

constexpr int64_t kPagesPerTask = 64;

}  // namespace

void update_page_bounds(ThreadPool& pool, AttentionScratch& scratch,
                        std::span<const PageBoundsItem> items) {
  for (const PageBoundsItem& item : items) {
    TIDAL_CHECK(item.bounds.block_rows > 0 && item.first_row >= 0 && item.kv.head_dim % 8 == 0);
  }
  for_pages(
      pool, scratch, items.size(), kPagesPerTask,
      [&](size_t i) { return items[i].first_row / items[i].bounds.block_rows; },
      [&](size_t i) {
        const int64_t rows = items[i].bounds.block_rows;
        return (items[i].kv.length + rows - 1) / rows;
      },
      [&](size_t i, int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) HWY_DYNAMIC_DISPATCH(bound_page)(items[i], p);
      });
}

void score_pages(ThreadPool& pool, AttentionScratch& scratch,
                 std::span<const ScorePagesItem> items) {
  for (const ScorePagesItem& item : items) {
    TIDAL_CHECK(item.n_kv_heads > 0 && item.n_heads % item.n_kv_heads == 0);
    TIDAL_CHECK(item.head_dim > 0 && item.head_dim % 8 == 0);
  }
  for_pages(
      pool, scratch, items.size(), kPagesPerTask, [](size_t) { return int64_t{0}; },
      [&](size_t i) { return items[i].n_pages; },
      [&](size_t i, int64_t begin, int64_t end) {
        const int64_t n = HWY_DYNAMIC_DISPATCH(score_page_range)(items[i], begin, end);
        add_rows(items[i].rows, {.k = n});
      });
}

}  // namespace tidal::cpu
#endif  // HWY_ONCE
