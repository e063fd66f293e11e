// For tests: what each method must read, computed independently with plain loops over the cache.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string_view>
#include <vector>

#include "attention/layer_plan.h"
#include "attention/sequence_test_util.h"

namespace tidal::test {

using Rows = std::vector<int64_t>;  // ascending positions
using Scores = std::vector<double>;

struct Expected {
  std::vector<Rows> rows;  // [n_heads]
  bool scanned_k = false;  // all of K was read to choose them
  RowsRead read;           // all the layer reads
};

inline Rows all_rows(int64_t length) {
  Rows rows(static_cast<size_t>(length));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

// The `budget` best scores, always including the first `sinks` and the last max(recent, 1).
inline Rows best(const Scores& scores, int64_t budget, int64_t sinks, int64_t recent) {
  const auto n = static_cast<int64_t>(scores.size());
  std::set<int64_t> picks;
  for (int64_t i = 0; i < sinks; ++i) picks.insert(i);
  for (int64_t i = n - std::max<int64_t>(recent, 1); i < n; ++i) picks.insert(i);
  while (static_cast<int64_t>(picks.size()) < budget) {
    int64_t top = -1;
    for (int64_t i = 0; i < n; ++i) {
      if (picks.count(i) > 0) continue;
      if (top < 0 || scores[static_cast<size_t>(i)] > scores[static_cast<size_t>(top)]) top = i;
    }
    picks.insert(top);
  }
  return Rows(picks.begin(), picks.end());
}

class Expectation {
 public:
  Expectation(const TestSequence& sequence, const LayerPlan& plan)
      : sequence_(sequence), shape_(sequence.shape()), plan_(plan), length_(sequence.length()) {}

  Expected layer(int32_t layer) const {
    const LayerSpec& spec = plan_.layers[static_cast<size_t>(layer)];
    const std::string_view name = sequence_.method().name();
    const bool full = name != "window" && spec.role == LayerRole::kFull;
    if (full || name == "full") return dense();
    if (name == "window") {
      const int64_t first = length_ - (plan_.budget_at(length_) - plan_.sinks);
      Rows rows = all_rows(length_);
      std::erase_if(rows, [&](int64_t row) { return row >= plan_.sinks && row < first; });
      return per_list({rows}, {}, false);
    }
    if (name == "quest") return quest(layer);
    if (name == "oracle") return per_list(lists(layer), {}, true);
    if (spec.role == LayerRole::kSelect) {
      return plan_.own ? per_list(lists(layer), {}, true) : dense();
    }
    return per_list(lists(spec.source), spec.head_map, false);
  }

  std::vector<Rows> lists(int32_t layer) const {
    const int32_t n_lists = list_count(plan_.scope, shape_.n_heads, shape_.n_kv_heads);
    const int32_t heads = shape_.n_heads / n_lists;
    std::vector<Rows> lists;
    for (int32_t list = 0; list < n_lists; ++list) {
      Scores pooled(static_cast<size_t>(length_), plan_.pooling == Pooling::kRaw ? -1e30 : 0.0);
      for (int32_t head = list * heads; head < (list + 1) * heads; ++head) {
        const Scores s = scores(layer, head);
        double total = 0;
        for (const double x : s) total += std::exp(x);
        for (size_t i = 0; i < s.size(); ++i) {
          pooled[i] = plan_.pooling == Pooling::kRaw ? std::max(pooled[i], s[i])
                                                     : pooled[i] + std::exp(s[i]) / total;
        }
      }
      lists.push_back(best(pooled, plan_.budget_at(length_), plan_.sinks, plan_.recent));
    }
    return lists;
  }

  // Attention over the rows, in double precision: [n_heads, head_dim].
  std::vector<double> attend(int32_t layer, const Expected& expected) const {
    std::vector<double> out;
    for (int32_t head = 0; head < shape_.n_heads; ++head) {
      const Scores s = scores(layer, head);
      std::vector<double> sum(static_cast<size_t>(shape_.head_dim));
      double total = 0;
      for (const int64_t row : expected.rows[static_cast<size_t>(head)]) {
        const double weight = std::exp(s[static_cast<size_t>(row)]);
        const std::vector<float> v = sequence_.load(kPlaneV, layer, row, kv_head(head));
        for (size_t i = 0; i < sum.size(); ++i) sum[i] += weight * double{v[i]};
        total += weight;
      }
      for (const double x : sum) out.push_back(x / total);
    }
    return out;
  }

  // The rows of a KV head that any of its query heads reads.
  std::set<int64_t> rows_of_kv_head(const Expected& expected, int32_t kv_head_index) const {
    std::set<int64_t> rows;
    const int32_t group = shape_.n_heads / shape_.n_kv_heads;
    for (int32_t head = kv_head_index * group; head < (kv_head_index + 1) * group; ++head) {
      const Rows& own = expected.rows[static_cast<size_t>(head)];
      rows.insert(own.begin(), own.end());
    }
    return rows;
  }

  int32_t kv_head(int32_t head) const { return head / (shape_.n_heads / shape_.n_kv_heads); }

 private:
  Scores scores(int32_t layer, int32_t head) const {
    const std::vector<float> q = sequence_.query(layer);
    Scores scores;
    for (int64_t row = 0; row < length_; ++row) {
      const std::vector<float> k = sequence_.load(kPlaneK, layer, row, kv_head(head));
      double sum = 0;
      for (size_t i = 0; i < k.size(); ++i) {
        sum += double{q[static_cast<size_t>(head) * k.size() + i]} * double{k[i]};
      }
      scores.push_back(sum / std::sqrt(shape_.head_dim));
    }
    return scores;
  }

  Expected quest(int32_t layer) const {
    const int64_t n_pages = (length_ + plan_.page - 1) / plan_.page;
    Expected expected;
    for (int32_t head = 0; head < shape_.n_heads; ++head) {
      Scores bounds;
      for (int64_t page = 0; page < n_pages; ++page) bounds.push_back(bound(layer, head, page));
      Rows rows;
      for (const int64_t page : best(bounds, plan_.budget_at(length_) / plan_.page, 0, 0)) {
        for (int64_t row = page * plan_.page; row < (page + 1) * plan_.page; ++row) {
          if (row < length_) rows.push_back(row);
        }
      }
      expected.rows.push_back(rows);
    }
    count(expected);
    expected.read.k += 2 * n_pages * shape_.n_kv_heads;
    return expected;
  }

  double bound(int32_t layer, int32_t head, int64_t page) const {
    const std::vector<float> q = sequence_.query(layer);
    const auto dim = static_cast<size_t>(shape_.head_dim);
    std::vector<double> largest(dim, -std::numeric_limits<double>::infinity());
    for (int64_t row = page * plan_.page; row < (page + 1) * plan_.page && row < length_; ++row) {
      const std::vector<float> k = sequence_.load(kPlaneK, layer, row, kv_head(head));
      for (size_t i = 0; i < dim; ++i) {
        const double x = q[static_cast<size_t>(head) * dim + i];
        largest[i] = std::max(largest[i], x * double{k[i]});
      }
    }
    return std::accumulate(largest.begin(), largest.end(), 0.0) / std::sqrt(shape_.head_dim);
  }

  Expected dense() const { return per_list({all_rows(length_)}, {}, false); }

  Expected per_list(const std::vector<Rows>& lists, std::vector<int32_t> head_map,
                    bool scanned_k) const {
    const auto heads_per_list = static_cast<size_t>(shape_.n_heads) / lists.size();
    Expected expected{{}, scanned_k, {}};
    for (size_t head = 0; head < static_cast<size_t>(shape_.n_heads); ++head) {
      const auto mapped = static_cast<size_t>(head_map.empty() ? 0 : head_map[head]);
      expected.rows.push_back(lists[head_map.empty() ? head / heads_per_list : mapped]);
    }
    count(expected);
    if (scanned_k) expected.read.k += length_ * shape_.n_kv_heads;
    return expected;
  }

  void count(Expected& expected) const {
    for (int32_t head = 0; head < shape_.n_kv_heads; ++head) {
      const auto n = static_cast<int64_t>(rows_of_kv_head(expected, head).size());
      expected.read += {n, n};
    }
  }

  const TestSequence& sequence_;
  const TestShape& shape_;
  const LayerPlan& plan_;
  int64_t length_;
};

}  // namespace tidal::test
