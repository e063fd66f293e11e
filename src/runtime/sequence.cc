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
      dense_end_(kv_.length()) {
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
      correct_end_(other.correct_end_) {
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

void Sequence::enqueue(int32_t decoded) { tokens_.push_back(decoded); }

void Sequence::rewind(int64_t length) {
  TIDAL_CHECK(length >= 0 && length <= this->length(), "{} of {} tokens", length, this->length());
  tokens_.resize(static_cast<size_t>(length));
  if (length < cached()) {
    kv_.truncate(length);
    state_.truncate(length);
  }
  exact_ = std::min(exact_, length);
  dense_end_ = std::min(dense_end_, length);
  correct_end_ = std::min(correct_end_, length);
}

bool Sequence::correction_due() const {
  const int32_t stride = method_->correct_every();
  return stride > 0 && uncorrected() > 0 && (uncorrected() >= stride || dense_end_ > cached());
}

Work Sequence::next(int32_t max_rows) const {
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
  const int64_t first = cached();
  if (!kv_.grow(work.n_rows)) return false;
  const auto begin = tokens_.begin() + first;
  batch.tokens.insert(batch.tokens.end(), begin, begin + work.n_rows);
  const bool by_method = work.kind == WorkKind::kDecode;
  batch.sequences.push_back({.kv = &kv_,
                             .first_position = first,
                             .n_rows = work.n_rows,
                             .kind = by_method ? AttendKind::kStep : AttendKind::kChunk,
                             .logits = work.all_logits ? LogitRows::kAll
                                       : work.last     ? LogitRows::kLast
                                                       : LogitRows::kNone,
                             .method = by_method ? method_.get() : nullptr,
                             .state = by_method ? &state_ : nullptr,
                             .stop = stop});
  return true;
}

void Sequence::commit(const Work& work) {
  const bool dense = work.kind == WorkKind::kPrompt || work.kind == WorkKind::kCorrect;
  if (dense && exact_ == cached() - work.n_rows) exact_ = cached();
}

RowsReport Sequence::rows() const {
  const RowsRead rows = rows_read();
  return {rows.k + rows.v, 2 * state_.rows_total};
}

}  // namespace tidal
