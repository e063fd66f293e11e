#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "ops/reference/operations.h"

namespace tidal::reference {
namespace {

constexpr uint8_t kLoadedK = 1;
constexpr uint8_t kLoadedV = 2;

// The rows one query head reads, in summation order.
struct RowSet {
  const int32_t* positions = nullptr;  // null: 0, 1, ...
  int64_t count = 0;

  int64_t operator[](int64_t i) const { return positions == nullptr ? i : positions[i]; }
};

RowSet rows_of(const AttendItem& item, int32_t query, int32_t head) {
  if (item.selection == nullptr) return {nullptr, item.first_position + query + 1};
  const int32_t list = item.selection->list_of_head(head, item.n_heads);
  const std::span<const int32_t> positions = item.selection->list(list);
  return {positions.data(), static_cast<int64_t>(positions.size())};
}

// Counts a row of K or V the first time its KV head needs it.
void count_load(uint8_t plane, uint8_t& loaded, int64_t& rows) {
  if ((loaded & plane) == 0) ++rows;
  loaded |= plane;
}

void attend_head(const AttendItem& item, int32_t query, int32_t head, Workspace& workspace,
                 RowsRead& read) {
  const KvView& kv = item.kv;
  const int32_t kv_head = head / (item.n_heads / kv.n_kv_heads);
  const int64_t index = int64_t{query} * item.n_heads + head;
  const float* q = item.q + index * kv.head_dim;
  const RowSet rows = rows_of(item, query, head);
  float* row = workspace.row.data();

  std::vector<double>& scores = workspace.scores;
  scores.resize(static_cast<size_t>(rows.count));
  for (int64_t i = 0; i < rows.count; ++i) {
    load_row(kv, kv.k, rows[i], kv_head, row);
    count_load(kLoadedK, workspace.loaded[static_cast<size_t>(rows[i])], read.k);
    scores[static_cast<size_t>(i)] = dot(q, row, kv.head_dim) / std::sqrt(kv.head_dim);
  }
  if (item.scores != nullptr) {
    std::transform(scores.begin(), scores.end(), item.scores + head * rows.count,
                   [](double s) { return static_cast<float>(s); });
  }

  const double largest = *std::max_element(scores.begin(), scores.end());
  double total = 0.0;
  for (double s : scores) total += std::exp(s - largest);
  if (item.log_sum_exp != nullptr) {
    item.log_sum_exp[index] = static_cast<float>(largest + std::log(total));
  }

  std::vector<double>& sum = workspace.sum;
  sum.assign(static_cast<size_t>(kv.head_dim), 0.0);
  for (int64_t i = 0; i < rows.count; ++i) {
    load_row(kv, kv.v, rows[i], kv_head, row);
    count_load(kLoadedV, workspace.loaded[static_cast<size_t>(rows[i])], read.v);
    const double weight = std::exp(scores[static_cast<size_t>(i)] - largest) / total;
    for (size_t e = 0; e < sum.size(); ++e) sum[e] += weight * double{row[e]};
  }
  std::transform(sum.begin(), sum.end(), item.out + index * kv.head_dim,
                 [](double s) { return static_cast<float>(s); });
}

void check_shapes(const AttendItem& item) {
  TIDAL_CHECK(item.n_heads % item.kv.n_kv_heads == 0);
  TIDAL_CHECK(item.first_position + item.n_queries <= item.kv.length);
  const bool one = item.kind == AttendKind::kStep && item.n_queries == 1;
  TIDAL_CHECK(item.n_queries >= 1);
  TIDAL_CHECK(item.kind == AttendKind::kChunk || item.n_queries <= kMaxStepQueries);
  TIDAL_CHECK(one || (item.selection == nullptr && item.scores == nullptr));
  TIDAL_CHECK(item.selection == nullptr || item.scores == nullptr);
}

}  // namespace

void load_row(const KvView& kv, const KvPlane& plane, int64_t position, int32_t kv_head,
              float* out) {
  TIDAL_CHECK(position >= 0 && position < kv.length, "row {} of {}", position, kv.length);
  const size_t head_bytes = dtype_row_bytes(plane.dtype, kv.head_dim);
  decode_row(plane.dtype, kv.row(plane, position) + static_cast<size_t>(kv_head) * head_bytes, out,
             kv.head_dim);
}

void append(const AppendItem& item) {
  const KvView& kv = item.kv;
  const int64_t width = int64_t{kv.n_kv_heads} * kv.head_dim;
  TIDAL_CHECK(item.first_position + item.n_rows <= kv.length);
  for (int64_t r = 0; r < item.n_rows; ++r) {
    const int64_t position = item.first_position + r;
    encode_row(kv.k.dtype, item.k + r * width, kv.k_row(position), width);
    encode_row(kv.v.dtype, item.v + r * width, kv.v_row(position), width);
  }
}

void attend(const AttendItem& item, Workspace& workspace) {
  check_shapes(item);
  const int32_t group = item.n_heads / item.kv.n_kv_heads;
  workspace.row.resize(static_cast<size_t>(item.kv.head_dim));
  RowsRead read;
  for (int32_t kv_head = 0; kv_head < item.kv.n_kv_heads; ++kv_head) {
    workspace.loaded.assign(static_cast<size_t>(item.kv.length), 0);
    for (int32_t query = 0; query < item.n_queries; ++query) {
      for (int32_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        attend_head(item, query, head, workspace, read);
      }
    }
  }
  if (item.rows != nullptr) *item.rows += read;
}

void score(const ScoreItem& item, Workspace& workspace) {
  const KvView& kv = item.kv;
  TIDAL_CHECK(item.n_heads % kv.n_kv_heads == 0);
  const int32_t group = item.n_heads / kv.n_kv_heads;
  workspace.row.resize(static_cast<size_t>(kv.head_dim));
  RowsRead read;
  for (int32_t kv_head = 0; kv_head < kv.n_kv_heads; ++kv_head) {
    for (int64_t position = 0; position < kv.length; ++position) {
      load_row(kv, kv.k, position, kv_head, workspace.row.data());
      ++read.k;
      for (int32_t head = kv_head * group; head < (kv_head + 1) * group; ++head) {
        const double product =
            dot(item.q + int64_t{head} * kv.head_dim, workspace.row.data(), kv.head_dim);
        item.scores[head * kv.length + position] =
            static_cast<float>(product / std::sqrt(kv.head_dim));
      }
    }
  }
  for (int32_t head = 0; item.log_sum_exp != nullptr && head < item.n_heads; ++head) {
    const float* scores = item.scores + head * kv.length;
    const double largest = double{*std::max_element(scores, scores + kv.length)};
    double total = 0.0;
    for (int64_t i = 0; i < kv.length; ++i) total += std::exp(double{scores[i]} - largest);
    item.log_sum_exp[head] = static_cast<float>(largest + std::log(total));
  }
  if (item.rows != nullptr) *item.rows += read;
}

}  // namespace tidal::reference
