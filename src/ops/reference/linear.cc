#include "base/check.h"
#include "ops/reference/operations.h"

namespace tidal::reference {

// Eight sums, so that an addition need not wait for the previous one.
double dot(const float* a, const float* b, int64_t n) {
  constexpr int kSums = 8;
  double sums[kSums] = {};
  int64_t i = 0;
  for (; i + kSums <= n; i += kSums) {
    for (int s = 0; s < kSums; ++s) sums[s] += double{a[i + s]} * double{b[i + s]};
  }
  for (; i < n; ++i) sums[i % kSums] += double{a[i]} * double{b[i]};
  double sum = 0.0;
  for (double part : sums) sum += part;
  return sum;
}

void embed(const Weight& table, std::span<const int32_t> ids, float* out) {
  TIDAL_CHECK(table.layout == WeightLayout::kRows);
  for (int32_t id : ids) {
    TIDAL_CHECK(id >= 0 && id < table.rows, "token {} of {}", id, table.rows);
    decode_row(table.dtype, table.row(id), out, table.cols);
    out += table.cols;
  }
}

void multiply(const float* x, int64_t n_rows, const Linear& linear, Workspace& workspace) {
  const Weight& weight = *linear.weight;
  TIDAL_CHECK(weight.layout == WeightLayout::kRows);
  workspace.row.resize(static_cast<size_t>(weight.cols));
  for (int64_t o = 0; o < weight.rows; ++o) {
    decode_row(weight.dtype, weight.row(o), workspace.row.data(), weight.cols);
    for (int64_t r = 0; r < n_rows; ++r) {
      double sum = dot(x + r * weight.cols, workspace.row.data(), weight.cols);
      if (linear.bias != nullptr) sum += double{linear.bias[o]};
      float& out = linear.out[r * weight.rows + o];
      if (linear.accumulate) sum += double{out};
      out = static_cast<float>(sum);
    }
  }
}

}  // namespace tidal::reference
