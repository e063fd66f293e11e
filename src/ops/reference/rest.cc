#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/reference/operations.h"

namespace tidal::reference {

void update_block_sums(const BlockSumsItem& item, Workspace& workspace) {
  const KvView& kv = item.kv;
  const int64_t block_rows = item.sums.block_rows;
  TIDAL_CHECK(block_rows > 0 && item.end_row <= kv.length);
  TIDAL_CHECK(item.first_row % block_rows == 0 ||
              item.end_row - item.first_row / block_rows * block_rows <= block_rows);
  const int64_t width = int64_t{kv.n_kv_heads} * kv.head_dim;
  workspace.row.resize(static_cast<size_t>(kv.head_dim));
  for (int64_t position = item.first_row; position < item.end_row; ++position) {
    float* sums = item.sums.block(position / block_rows);
    if (position % block_rows == 0) {
      std::fill_n(sums, 2 * width, 0.0f);
    } else if (position == item.first_row && sums != item.sums.open) {
      std::copy_n(item.sums.open, 2 * width, sums);
    }
    if (position < item.skip_rows) continue;
    for (const KvPlane* plane : {&kv.k, &kv.v}) {
      for (int32_t kv_head = 0; kv_head < kv.n_kv_heads; ++kv_head) {
        load_row(kv, *plane, position, kv_head, workspace.row.data());
        float* sum = sums + (plane == &kv.v ? width : 0) + int64_t{kv_head} * kv.head_dim;
        for (int32_t e = 0; e < kv.head_dim; ++e) sum[e] += workspace.row[static_cast<size_t>(e)];
      }
    }
  }
}

void attend_rest(const AttendRestItem& item, Workspace& workspace) {
  TIDAL_CHECK(item.n_heads % item.n_kv_heads == 0);
  const int32_t group = item.n_heads / item.n_kv_heads;
  const int64_t width = int64_t{item.n_kv_heads} * item.head_dim;
  const int32_t block_rows = item.sums.block_rows;
  const int64_t n_blocks = (item.end_row + block_rows - 1) / block_rows;
  std::vector<double>& sum = workspace.sum;
  for (int32_t head = 0; head < item.n_heads; ++head) {
    const float* q = item.q + int64_t{head} * item.head_dim;
    float* out = item.out + int64_t{head} * item.head_dim;
    const auto rows_in = [&](int64_t block) {
      return rows_in_block(block, block_rows, item.skip_rows, item.end_row);
    };
    const auto sums_of = [&](int64_t block) {
      return item.sums.block(block) + int64_t{head / group} * item.head_dim;
    };
    const auto score = [&](int64_t block) {
      return dot(q, sums_of(block), item.head_dim) / std::sqrt(item.head_dim) /
             double(rows_in(block));
    };
    double top = item.log_sum_exp[head];
    for (int64_t block = 0; block < n_blocks; ++block) {
      if (rows_in(block) > 0) top = std::max(top, score(block));
    }
    // Of the rows already attended to, whose relative weights add up to 1.
    double total = std::exp(double{item.log_sum_exp[head]} - top);
    sum.assign(out, out + item.head_dim);
    for (double& x : sum) x *= total;
    for (int64_t block = 0; block < n_blocks; ++block) {
      if (rows_in(block) == 0) continue;
      const double weight = std::exp(score(block) - top);
      total += weight * double(rows_in(block));
      for (size_t e = 0; e < sum.size(); ++e) {
        sum[e] += weight * double{sums_of(block)[width + int64_t(e)]};
      }
    }
    for (size_t e = 0; e < sum.size(); ++e) out[e] = static_cast<float>(sum[e] / total);
  }
  for (int64_t block = 0; item.rows != nullptr && block < n_blocks; ++block) {
    if (rows_in_block(block, block_rows, item.skip_rows, item.end_row) == 0) continue;
    item.rows->k += item.n_kv_heads;
    item.rows->v += item.n_kv_heads;
  }
}

}  // namespace tidal::reference
