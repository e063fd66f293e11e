#include "attention/runner.h"

#include "base/check.h"

namespace tidal {

AttentionRunner::AttentionRunner(Backend& backend, int32_t n_heads, int64_t max_context,
                                 int32_t max_sequences)
    : backend_(backend),
      n_heads_(n_heads),
      max_context_(max_context),
      max_sequences_(max_sequences),
      scores_(backend.allocate(static_cast<size_t>(max_sequences) * static_cast<size_t>(n_heads) *
                               static_cast<size_t>(max_context) * sizeof(float))),
      log_sum_exp_(backend.allocate(static_cast<size_t>(max_sequences) *
                                    static_cast<size_t>(n_heads) * sizeof(float))),
      rest_log_sum_exp_(backend.allocate(static_cast<size_t>(max_sequences) *
                                         static_cast<size_t>(n_heads) * sizeof(float))) {
  const auto n = static_cast<size_t>(max_sequences);
  steps_.reserve(n);
  attend_.reserve(n);
  attend_picks_.reserve(n);
  score_.reserve(n);
  top_k_.reserve(n);
  bounds_.reserve(n);
  score_pages_.reserve(n);
  block_sums_.reserve(n);
  rest_.reserve(n);
}

void AttentionRunner::run(int32_t layer, std::span<const AttentionItem> items) {
  TIDAL_CHECK(items.size() <= static_cast<size_t>(max_sequences_), "{} items", items.size());
  steps_.clear();
  attend_.clear();
  attend_picks_.clear();
  score_.clear();
  top_k_.clear();
  bounds_.clear();
  score_pages_.clear();
  block_sums_.clear();
  rest_.clear();

  for (const AttentionItem& item : items) add(layer, item);

  if (!bounds_.empty()) backend_.update_page_bounds(bounds_);
  if (!score_pages_.empty()) backend_.score_pages(score_pages_);
  if (!score_.empty()) backend_.score(score_);
  if (!attend_.empty()) backend_.attend(attend_);
  if (!top_k_.empty()) backend_.top_k(top_k_);
  if (!attend_picks_.empty()) backend_.attend(attend_picks_);
  if (!block_sums_.empty()) backend_.update_block_sums(block_sums_);
  if (!rest_.empty()) backend_.attend_rest(rest_);
}

void AttentionRunner::add(int32_t layer, const AttentionItem& item) {
  const int64_t length = item.first_position + item.n_rows;
  TIDAL_CHECK(length <= item.kv.length && length <= max_context_);
  AttendItem attend;
  attend.q = item.q;
  attend.out = item.out;
  attend.n_queries = item.n_rows;
  attend.n_heads = n_heads_;
  attend.first_position = item.first_position;
  attend.kv = item.kv;
  if (item.n_rows != 1 || item.method == nullptr) {
    attend_.push_back(attend);
    return;
  }
  AttentionState& state = *item.state;
  state.rows_total += length * item.kv.n_kv_heads;
  attend.kv.length = length;
  attend.rows = &state.rows;
  LayerStep& step = steps_.emplace_back();
  if (!item.method->dense(length)) step = item.method->plan_layer(layer, length, state);
  if (step.scores != LayerStep::Scores::kNone) {
    add_scores(layer, step, state, attend);
  } else if (step.read.n_lists > 0) {
    attend.selection = &step.read;
  }
  if (step.read_picks) attend.selection = &step.picks;
  if (step.rest_to > step.rest_from) add_rest(layer, step, state, attend);
  (step.read_picks ? attend_picks_ : attend_).push_back(attend);
}

// What comes before a layer's picks, and the picks themselves.
void AttentionRunner::add_scores(int32_t layer, LayerStep& step, AttentionState& state,
                                 AttendItem& attend) {
  const KvView& kv = attend.kv;
  float* scores =
      scores_.as<float>() + static_cast<int64_t>(steps_.size() - 1) * n_heads_ * max_context_;
  TopKItem& top_k = step.top_k;
  // Pooled probabilities need it, and it is cheap to have while the scores are in the cache.
  float* log_sum_exp = nullptr;
  if (step.scores == LayerStep::Scores::kRows && top_k.pooling == Pooling::kSoftmax &&
      top_k.scope != HeadScope::kQueryHead) {
    log_sum_exp = log_sum_exp_.as<float>() + static_cast<int64_t>(steps_.size() - 1) * n_heads_;
  }
  top_k.scores = scores;
  top_k.n_heads = n_heads_;
  top_k.n_kv_heads = kv.n_kv_heads;
  top_k.n_rows = kv.length;
  top_k.n_candidates = (kv.length + top_k.candidate_rows - 1) / top_k.candidate_rows;
  top_k.selection = &step.picks;
  top_k.log_sum_exp = log_sum_exp;
  top_k_.push_back(top_k);
  if (step.scores == LayerStep::Scores::kBounds) {
    const auto [bounds, first_row] = state.bounds->extend(layer, kv, kv.length);
    if (first_row < kv.length) bounds_.push_back({kv, first_row, bounds});
    score_pages_.push_back({attend.q, bounds, n_heads_, kv.n_kv_heads, kv.head_dim,
                            top_k.n_candidates, scores, &state.rows});
  } else if (step.read_picks) {
    score_.push_back({attend.q, n_heads_, kv, scores, &state.rows, log_sum_exp});
  } else {
    attend.scores = scores;
    attend.log_sum_exp = log_sum_exp;
  }
}

// What follows the attention to single rows.
void AttentionRunner::add_rest(int32_t layer, const LayerStep& step, AttentionState& state,
                               AttendItem& attend) {
  const auto [sums, first_row] = state.sums->extend(layer, attend.kv, step.rest_to);
  if (first_row < step.rest_to) {
    block_sums_.push_back({attend.kv, first_row, step.rest_to, step.rest_from, sums});
  }
  attend.log_sum_exp =
      rest_log_sum_exp_.as<float>() + static_cast<int64_t>(steps_.size() - 1) * n_heads_;
  rest_.push_back({attend.q, attend.out, attend.log_sum_exp, sums, n_heads_, attend.kv.n_kv_heads,
                   attend.kv.head_dim, step.rest_to, step.rest_from, &state.rows});
}

}  // namespace tidal
