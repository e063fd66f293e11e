#include "attention/runner.h"

#include <variant>

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
  attend.kind = item.kind;
  attend.q = item.q;
  attend.out = item.out;
  attend.n_queries = item.n_rows;
  attend.n_heads = n_heads_;
  attend.first_position = item.first_position;
  attend.kv = item.kv;
  if (item.method == nullptr) {
    if (item.state != nullptr) attend.rows = item.state->row_counter();
    attend_.push_back(attend);
    return;
  }
  TIDAL_CHECK(item.kind == AttendKind::kStep && item.n_rows == 1, "a method serves one token");
  AttentionState& state = *item.state;
  state.rows_total += length * item.kv.n_kv_heads;
  attend.kv.length = length;
  attend.rows = state.row_counter();
  LayerStep& step = steps_.emplace_back();
  if (!item.method->dense(length)) step = item.method->plan_layer(layer, length, state);
  const bool reads_picks =
      std::visit([&](auto& read) { return prepare(layer, read, attend); }, step.read);
  if (step.rest) add_rest(layer, *step.rest, attend);
  (reads_picks ? attend_picks_ : attend_).push_back(attend);
}

bool AttentionRunner::prepare(int32_t /*layer*/, ReadAll& /*read*/, AttendItem& /*attend*/) {
  return false;
}

bool AttentionRunner::prepare(int32_t /*layer*/, ReadSelection& read, AttendItem& attend) {
  attend.selection = &read.rows;
  return false;
}

bool AttentionRunner::prepare(int32_t /*layer*/, ReadAllAndPick& read, AttendItem& attend) {
  attend.scores = scratch(scores_, max_context_);
  attend.log_sum_exp = log_sum_exp_of(read.pick);
  add_top_k(read.pick, attend.kv, 1, attend.log_sum_exp);
  return false;
}

bool AttentionRunner::prepare(int32_t /*layer*/, PickAndRead& read, AttendItem& attend) {
  float* log_sum_exp = log_sum_exp_of(read.pick);
  score_.push_back(
      {attend.q, n_heads_, attend.kv, scratch(scores_, max_context_), attend.rows, log_sum_exp});
  add_top_k(read.pick, attend.kv, 1, log_sum_exp);
  attend.selection = &read.pick.picks;
  return true;
}

bool AttentionRunner::prepare(int32_t layer, PickPagesAndRead& read, AttendItem& attend) {
  const KvView& kv = attend.kv;
  const auto [bounds, first_row] = read.bounds->extend(layer, kv, kv.length);
  if (first_row < kv.length) bounds_.push_back({kv, first_row, bounds});
  const TopKItem& top_k = add_top_k(read.pick, kv, bounds.block_rows, nullptr);
  score_pages_.push_back({attend.q, bounds, n_heads_, kv.n_kv_heads, kv.head_dim,
                          top_k.n_candidates, scratch(scores_, max_context_), attend.rows});
  attend.selection = &read.pick.picks;
  return true;
}

const TopKItem& AttentionRunner::add_top_k(Picking& pick, const KvView& kv, int32_t candidate_rows,
                                           const float* log_sum_exp) {
  return top_k_.emplace_back(TopKItem{
      .scores = scratch(scores_, max_context_),
      .log_sum_exp = log_sum_exp,
      .n_heads = n_heads_,
      .n_kv_heads = kv.n_kv_heads,
      .n_candidates = (kv.length + candidate_rows - 1) / candidate_rows,
      .scope = pick.scope,
      .pooling = pick.pooling,
      .budget = pick.budget,
      .sinks = pick.sinks,
      .recent = pick.recent,
      .candidate_rows = candidate_rows,
      .n_rows = kv.length,
      .selection = &pick.picks,
  });
}

// Pooled probabilities need it, and it is cheap to compute while the scores are in the cache.
float* AttentionRunner::log_sum_exp_of(const Picking& pick) const {
  const bool pooled = pick.pooling == Pooling::kSoftmax && pick.scope != HeadScope::kQueryHead;
  return pooled ? scratch(log_sum_exp_, 1) : nullptr;
}

float* AttentionRunner::scratch(const Buffer& buffer, int64_t per_head) const {
  return buffer.as<float>() + static_cast<int64_t>(steps_.size() - 1) * n_heads_ * per_head;
}

// What follows attention to single rows.
void AttentionRunner::add_rest(int32_t layer, const ReadMeans& rest, AttendItem& attend) {
  const KvView& kv = attend.kv;
  const int64_t skip_rows = rest.sums->spec().skip_rows;
  if (rest.end_row <= skip_rows) return;
  const auto [sums, first_row] = rest.sums->extend(layer, kv, rest.end_row);
  if (first_row < rest.end_row) {
    block_sums_.push_back({kv, first_row, rest.end_row, skip_rows, sums});
  }
  attend.log_sum_exp = scratch(rest_log_sum_exp_, 1);
  rest_.push_back({attend.q, attend.out, attend.log_sum_exp, sums, n_heads_, kv.n_kv_heads,
                   kv.head_dim, rest.end_row, skip_rows, attend.rows});
}

}  // namespace tidal
