#include "runtime/sequence.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidal {

Sequence::Sequence(std::shared_ptr<const AttentionMethod> method, const AttentionShape& shape,
                   SequenceKv rows, std::span<const int32_t> tokens)
    : method_(std::move(method)),
      shape_(shape),
      kv_(std::move(rows)),
      state_(method_->make_state(shape, kv_.pool())),
      exact_(kv_.length()),
      dense_end_(kv_.length()),
      verified_(kv_.length()) {
  TIDAL_CHECK(kv_.length() == std::ssize(tokens), "{} rows of {} tokens", kv_.length(),
              tokens.size());
  tokens_.reserve(static_cast<size_t>(shape.max_length));
  tokens_.assign(tokens.begin(), tokens.end());
}

Sequence::Sequence(const Sequence& other, std::shared_ptr<const AttentionMethod> method,
                   AttentionState state)
    : method_(std::move(method)),
      shape_(other.shape_),
      kv_(other.kv_.fork()),
      state_(std::move(state)),
      exact_(other.exact_),
      dense_end_(other.dense_end_),
      correct_end_(other.correct_end_),
      lossless_(other.lossless_),
      phase_(other.phase_),
      n_drafts_(other.n_drafts_),
      verified_(other.verified_) {
  tokens_.reserve(static_cast<size_t>(shape_.max_length));
  tokens_.assign(other.tokens_.begin(), other.tokens_.end());
}

Sequence Sequence::fork() const { return {*this, method_, state_.clone()}; }

Sequence Sequence::fork(std::shared_ptr<const AttentionMethod> method) const {
  AttentionState state = method->make_state(shape_, kv_.pool());
  return {*this, std::move(method), std::move(state)};
}

void Sequence::enqueue(std::span<const int32_t> prompt) {
  TIDAL_CHECK(length() == std::max(cached(), dense_end_), "a decoded token is queued");
  tokens_.insert(tokens_.end(), prompt.begin(), prompt.end());
  dense_end_ = length();
}

void Sequence::enqueue(int32_t decoded) {
  TIDAL_CHECK(n_drafts_ == 0, "{} drafts are undecided", n_drafts_);
  tokens_.push_back(decoded);
}

void Sequence::enqueue_draft(int32_t token) {
  TIDAL_CHECK(lossless_ && n_drafts_ < kMostDrafts, "{} drafts", n_drafts_);
  tokens_.push_back(token);
  ++n_drafts_;
}

bool Sequence::take(int32_t token) {
  if (n_drafts_ > 0 && tokens_[static_cast<size_t>(length() - n_drafts_)] == token) {
    --n_drafts_;
    return true;
  }
  drop_drafts();
  tokens_.push_back(token);
  return false;
}

void Sequence::rewind(int64_t length) {
  TIDAL_CHECK(length >= 0 && length <= this->length(), "{} of {} tokens", length, this->length());
  const int64_t before = this->length();
  tokens_.resize(static_cast<size_t>(length));
  if (length < cached()) {
    kv_.truncate(length);
    state_.truncate(length);
  }
  n_drafts_ = std::max<int64_t>(0, n_drafts_ - (before - length));
  verified_ = std::min(verified_, length);
  exact_ = std::min(exact_, length);
  dense_end_ = std::min(dense_end_, length);
  correct_end_ = std::min(correct_end_, length);
}

bool Sequence::correction_due() const {
  const int32_t stride = lossless_ ? 0 : method_->correct_every();
  return stride > 0 && uncorrected() > 0 && (uncorrected() >= stride || dense_end_ > cached());
}

// A method that reads everything would only draft what full attention says.
Work Sequence::next_lossless() const {
  if (phase_ == DraftPhase::kHold) return {};
  if (phase_ == DraftPhase::kDraft && unverified() == 1 && !method_->dense(cached() + 1)) {
    if (cached() == length()) return {};
    return {.kind = WorkKind::kDecode, .n_rows = 1, .last = true};
  }
  const int64_t left = unverified() > 1 ? unverified() : length() - verified_;
  Work work{.kind = WorkKind::kVerify,
            .n_rows = static_cast<int32_t>(std::min<int64_t>(left, kMaxStepQueries))};
  if (work.n_rows == 0) return {};
  work.last = verified_ + work.n_rows == length();
  work.all_logits = work.last && n_drafts_ > 0;
  return work;
}

Work Sequence::next(int32_t max_rows) const {
  if (lossless_ && dense_end_ <= cached()) return next_lossless();
  if (cached() == length()) return {};
  Work work;
  int64_t queued = 1;
  if (correction_due()) {
    work.kind = WorkKind::kCorrect;
    queued = uncorrected();
  } else if (correct_end_ > cached()) {
    work.kind = WorkKind::kCorrect;
    queued = correct_end_ - cached();
  } else if (dense_end_ > cached()) {
    work.kind = WorkKind::kPrompt;
    queued = dense_end_ - cached();
  } else {
    work.kind = WorkKind::kDecode;
  }
  work.all_logits = prompt_logits_ && work.kind == WorkKind::kPrompt;
  if (work.all_logits) max_rows = std::min(max_rows, kLogitRows);
  work.n_rows = static_cast<int32_t>(std::min<int64_t>(queued, max_rows));
  work.last = work.kind != WorkKind::kCorrect && cached() + work.n_rows == length();
  return work;
}

int64_t Sequence::pages_needed(const Work& work) const {
  if (work.kind == WorkKind::kCorrect && correction_due()) return 0;  // in pages that it gives up
  if (work.kind == WorkKind::kVerify) {
    return kv_.pages_needed(std::max<int64_t>(0, verified_ + work.n_rows - cached()));
  }
  return kv_.pages_needed(work.n_rows);
}

bool Sequence::schedule(const Work& work, Batch& batch, const std::atomic<bool>* stop) {
  if (work.kind == WorkKind::kCorrect && correction_due()) {
    correct_end_ = cached();
    dense_end_ = std::max(dense_end_, correct_end_);
    ++corrections_;
    kv_.truncate(exact_);
    state_.truncate(exact_);
  }
  if (work.kind == WorkKind::kVerify && verified_ < cached()) {
    kv_.truncate(verified_);
    state_.truncate(verified_);
  }
  const int64_t first = cached();
  if (!kv_.grow(work.n_rows)) return false;
  const auto begin = tokens_.begin() + first;
  batch.tokens.insert(batch.tokens.end(), begin, begin + work.n_rows);
  const bool by_method = work.kind == WorkKind::kDecode;
  const bool is_step = by_method || work.kind == WorkKind::kVerify;
  batch.sequences.push_back({.kv = &kv_,
                             .first_position = first,
                             .n_rows = work.n_rows,
                             .kind = is_step ? AttendKind::kStep : AttendKind::kChunk,
                             .logits = work.all_logits ? LogitRows::kAll
                                       : work.last     ? LogitRows::kLast
                                                       : LogitRows::kNone,
                             .method = by_method ? method_.get() : nullptr,
                             .state = is_step ? &state_ : nullptr,
                             .stop = stop});
  return true;
}

void Sequence::commit(const Work& work) {
  const bool dense = work.kind == WorkKind::kPrompt || work.kind == WorkKind::kCorrect;
  if (dense && exact_ == cached() - work.n_rows) exact_ = cached();
  if (dense || work.kind == WorkKind::kVerify) verified_ = cached();
}

// K rows that full attention reads in the steps of these tokens, layer by layer.
int64_t Sequence::full_rows() const {
  const int64_t first = dense_end_ + 1, n = verified_ - dense_end_;
  const int64_t lengths = n > 0 ? n * (first + verified_) / 2 : 0;
  return lengths * shape_.n_layers * shape_.n_kv_heads;
}

RowsReport Sequence::rows() const {
  const RowsRead rows = rows_read();
  return {rows.k + rows.v, 2 * (lossless_ ? full_rows() : state_.rows_total)};
}

}  // namespace tidal
