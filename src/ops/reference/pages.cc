#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "ops/reference/operations.h"

namespace tidal::reference {

void update_page_bounds(const PageBoundsItem& item, Workspace& workspace) {
  const KvView& kv = item.kv;
  const int64_t width = int64_t{kv.n_kv_heads} * kv.head_dim;
  workspace.row.resize(static_cast<size_t>(kv.head_dim));
  const int64_t page_rows = item.bounds.block_rows;
  const int64_t first_page = item.first_row / page_rows;
  for (int64_t first = first_page * page_rows; first < kv.length; first += page_rows) {
    float* low = item.bounds.block(first / page_rows);
    float* high = low + width;
    std::fill_n(low, width, std::numeric_limits<float>::infinity());
    std::fill_n(high, width, -std::numeric_limits<float>::infinity());
    const int64_t end = std::min(first + page_rows, kv.length);
    for (int64_t position = first; position < end; ++position) {
      for (int32_t kv_head = 0; kv_head < kv.n_kv_heads; ++kv_head) {
        load_row(kv, kv.k, position, kv_head, workspace.row.data());
        for (int32_t e = 0; e < kv.head_dim; ++e) {
          const int64_t i = int64_t{kv_head} * kv.head_dim + e;
          low[i] = std::min(low[i], workspace.row[static_cast<size_t>(e)]);
          high[i] = std::max(high[i], workspace.row[static_cast<size_t>(e)]);
        }
      }
    }
  }
}

void score_pages(const ScorePagesItem& item) {
  TIDAL_CHECK(item.n_heads % item.n_kv_heads == 0);
  const int32_t group = item.n_heads / item.n_kv_heads;
  const int64_t width = int64_t{item.n_kv_heads} * item.head_dim;
  for (int32_t head = 0; head < item.n_heads; ++head) {
    const float* q = item.q + int64_t{head} * item.head_dim;
    for (int64_t page = 0; page < item.n_pages; ++page) {
      const float* low = item.bounds.block(page) + int64_t{head / group} * item.head_dim;
      const float* high = low + width;
      double sum = 0.0;
      for (int32_t e = 0; e < item.head_dim; ++e) {
        sum += std::max(double{q[e]} * double{low[e]}, double{q[e]} * double{high[e]});
      }
      item.scores[head * item.n_pages + page] = static_cast<float>(sum / std::sqrt(item.head_dim));
    }
  }
  if (item.rows != nullptr) item.rows->k += 2 * item.n_pages * item.n_kv_heads;
}

}  // namespace tidal::reference
