#include "ops/selection.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "ops/reference/operations.h"

namespace tidal::reference {
namespace {

void pool_largest(const float* scores, std::vector<double>& pooled) {
  for (size_t c = 0; c < pooled.size(); ++c) pooled[c] = std::max(pooled[c], double{scores[c]});
}

void pool_probabilities(const float* scores, std::vector<double>& pooled) {
  const double largest = double{*std::max_element(scores, scores + pooled.size())};
  double total = 0.0;
  for (size_t c = 0; c < pooled.size(); ++c) total += std::exp(double{scores[c]} - largest);
  for (size_t c = 0; c < pooled.size(); ++c) {
    pooled[c] += std::exp(double{scores[c]} - largest) / total;
  }
}

// One score per candidate, of the query heads first_head, + 1, ... that share a list.
void pool(const TopKItem& item, int32_t first_head, int32_t n_heads, std::vector<double>& pooled) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const bool raw = item.pooling == Pooling::kRaw;
  pooled.assign(static_cast<size_t>(item.n_candidates), raw ? -kInfinity : 0.0);
  for (int32_t h = first_head; h < first_head + n_heads; ++h) {
    const float* scores = item.scores + h * item.n_candidates;
    if (raw) {
      pool_largest(scores, pooled);
    } else {
      pool_probabilities(scores, pooled);
    }
  }
  const int64_t sinks = std::min(item.sinks, item.n_candidates);
  const int64_t recent = std::min(std::max<int64_t>(item.recent, 1), item.n_candidates);
  std::fill_n(pooled.begin(), sinks, kInfinity);
  std::fill_n(pooled.rbegin(), recent, kInfinity);
}

// Leaves the best `budget` candidates, ascending.
void pick(const std::vector<double>& pooled, int64_t budget, std::vector<int64_t>& candidates) {
  candidates.clear();
  for (size_t c = 0; c < pooled.size(); ++c) candidates.push_back(static_cast<int64_t>(c));
  std::sort(candidates.begin(), candidates.end(), [&](int64_t a, int64_t b) {
    const double score_a = pooled[static_cast<size_t>(a)];
    const double score_b = pooled[static_cast<size_t>(b)];
    return score_a != score_b ? score_a > score_b : a < b;
  });
  candidates.resize(std::min(candidates.size(), static_cast<size_t>(budget)));
  std::sort(candidates.begin(), candidates.end());
}

// Writes the positions the candidates stand for.
void write_list(const TopKItem& item, const std::vector<int64_t>& candidates, int32_t list) {
  Selection& selection = *item.selection;
  int32_t* positions = selection.positions + list * selection.capacity;
  int64_t count = 0;
  for (int64_t candidate : candidates) {
    const int64_t first = candidate * item.candidate_rows;
    const int64_t end = std::min(first + item.candidate_rows, item.n_rows);
    TIDAL_CHECK(count + (end - first) <= selection.capacity);
    for (int64_t p = first; p < end; ++p) positions[count++] = static_cast<int32_t>(p);
  }
  selection.counts[list] = count;
}

}  // namespace

void top_k(const TopKItem& item, Workspace& workspace) {
  const int32_t n_lists = list_count(item.scope, item.n_heads, item.n_kv_heads);
  TIDAL_CHECK(item.selection->n_lists == n_lists && item.n_heads % n_lists == 0);
  TIDAL_CHECK(item.budget >= item.sinks + std::max<int64_t>(item.recent, 1));
  TIDAL_CHECK((item.n_rows + item.candidate_rows - 1) / item.candidate_rows == item.n_candidates);
  const int32_t heads_per_list = item.n_heads / n_lists;
  for (int32_t list = 0; list < n_lists; ++list) {
    pool(item, list * heads_per_list, heads_per_list, workspace.scores);
    pick(workspace.scores, item.budget, workspace.candidates);
    write_list(item, workspace.candidates, list);
  }
}

}  // namespace tidal::reference
