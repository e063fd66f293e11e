#include "kv/sequence_summaries.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidal {

SequenceSummaries::SequenceSummaries(PagePool& pool, const SummarySpec& spec)
    : SequenceSummaries(pool.summaries(spec)) {}

SequenceSummaries::SequenceSummaries(std::shared_ptr<PageSummaries> whole)
    : whole_(std::move(whole)),
      open_(static_cast<size_t>(whole_->n_layers()) * whole_->summary_floats() * sizeof(float),
            whole_->memory()),
      done_(static_cast<size_t>(whole_->n_layers())),
      made_(done_.size()) {}

void SequenceSummaries::truncate(int64_t length) {
  TIDAL_CHECK(length >= 0);
  // A row cannot be taken back out of a sum: the block starts over.
  for (int64_t& done : done_) {
    if (done > length) done = 0;
  }
  for (int64_t& made : made_) made = std::min(made, length / spec().block_rows);
}

SequenceSummaries SequenceSummaries::clone() const {
  SequenceSummaries copy(whole_);
  copy.open_ = open_.clone();
  copy.done_ = done_;
  copy.made_ = made_;
  return copy;
}

SequenceSummaries::Extent SequenceSummaries::extend(int32_t layer, const KvView& kv,
                                                    int64_t end_row) {
  TIDAL_CHECK(end_row >= 0 && end_row <= kv.length);
  const int64_t rows = spec().block_rows;
  const int64_t n_whole = end_row / rows;
  int64_t& known = made_[static_cast<size_t>(layer)];
  const int64_t made = whole_->claim(layer, kv.page_table, n_whole, std::min(known, n_whole));
  known = std::max(known, n_whole);
  Extent extent{whole_->view(layer, kv.page_table, n_whole), made * rows};
  extent.view.open = open_.as<float>() + static_cast<size_t>(layer) * whole_->summary_floats();
  // The open block grows, and moves to its page once complete, unless others are made with it: then
  // all are made side by side, each from its first row on.
  int64_t& done = done_[static_cast<size_t>(layer)];
  const bool one_block = end_row - extent.first_row <= rows;
  const bool continues = done % rows != 0 && done > extent.first_row && done <= end_row;
  if (one_block && continues) extent.first_row = done;
  done = end_row;
  return extent;
}

}  // namespace tidal
