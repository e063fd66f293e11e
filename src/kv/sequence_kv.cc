#include "kv/sequence_kv.h"

#include <utility>

#include "base/check.h"

namespace tidal {

SequenceKv::SequenceKv(PagePool& pool, int64_t max_length) : pool_(&pool), max_length_(max_length) {
  TIDAL_CHECK(max_length >= 0);
  pages_.reserve(static_cast<size_t>(pages_of(max_length)));
}

SequenceKv::SequenceKv(PagePool& pool, int64_t max_length, std::span<const int32_t> pages)
    : SequenceKv(pool, max_length) {
  length_ = std::ssize(pages) * kPageRows;
  TIDAL_CHECK(length_ <= max_length);
  for (const int32_t page : pages) {
    pool.share(page);
    pages_.push_back(page);
  }
}

SequenceKv::~SequenceKv() {
  if (pool_ != nullptr) truncate(0);
}

SequenceKv::SequenceKv(SequenceKv&& other) noexcept
    : pool_(std::exchange(other.pool_, nullptr)),
      max_length_(other.max_length_),
      length_(std::exchange(other.length_, 0)),
      pages_(std::move(other.pages_)) {
  other.pages_.clear();
}

bool SequenceKv::last_page_needs_copy() const {
  return length_ % kPageRows != 0 && pool_->is_shared(pages_.back());
}

int64_t SequenceKv::pages_needed(int64_t n_rows) const {
  TIDAL_CHECK(n_rows >= 0);
  if (n_rows == 0) return 0;
  const int64_t copies = last_page_needs_copy() ? 1 : 0;
  return pages_of(length_ + n_rows) - static_cast<int64_t>(pages_.size()) + copies;
}

bool SequenceKv::grow(int64_t n_rows) {
  TIDAL_CHECK(n_rows >= 0);
  if (n_rows == 0) return true;
  if (n_rows > max_length_ - length_ || pages_needed(n_rows) > pool_->free_pages()) return false;
  if (last_page_needs_copy()) {
    const int32_t shared = std::exchange(pages_.back(), pool_->acquire());
    pool_->copy_rows(shared, pages_.back(), length_ % kPageRows);
    pool_->release(shared);
  } else if (length_ % kPageRows != 0) {
    pool_->rewrite_rows(pages_.back(), length_ % kPageRows);
  }
  length_ += n_rows;
  while (static_cast<int64_t>(pages_.size()) < pages_of(length_)) {
    pages_.push_back(pool_->acquire());
  }
  return true;
}

void SequenceKv::truncate(int64_t length) {
  TIDAL_CHECK(length >= 0 && length <= length_, "cannot truncate {} rows to {}", length_, length);
  length_ = length;
  while (static_cast<int64_t>(pages_.size()) > pages_of(length)) {
    pool_->release(pages_.back());
    pages_.pop_back();
  }
}

SequenceKv SequenceKv::fork() const {
  SequenceKv copy(*pool_, max_length_);
  for (const int32_t page : pages_) {
    pool_->share(page);
    copy.pages_.push_back(page);
  }
  copy.length_ = length_;
  return copy;
}

KvView SequenceKv::view(int32_t layer) const {
  KvView view = pool_->layer_view(layer);
  view.length = length_;
  view.page_table = pages_.data();
  return view;
}

}  // namespace tidal
