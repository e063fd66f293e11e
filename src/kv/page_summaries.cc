#include "kv/page_summaries.h"

#include <algorithm>

#include "base/check.h"
#include "base/checked.h"
#include "base/fail.h"

namespace tidal {

PageSummaries::PageSummaries(const SummarySpec& spec, int32_t n_layers, int64_t width,
                             int64_t n_pages, Memory& memory)
    : spec_(spec), n_layers_(n_layers), summary_floats_(static_cast<size_t>(2 * width)) {
  TIDAL_CHECK(spec.block_rows > 0 && spec.skip_rows >= 0 && n_layers > 0 && width > 0);
  const int32_t per_page = (kPageRows - 1) / spec.block_rows + 1;
  slot_floats_ = summary_floats_ * static_cast<size_t>(per_page);
  // Small blocks are scanned layer by layer. Large ones are few: a slot's layers are contiguous, or
  // the first block would touch a huge page of memory in every layer.
  const bool by_layer = spec.block_rows <= kPageRows;
  layer_stride_ = slot_floats_ * (by_layer ? static_cast<size_t>(n_pages) : 1);
  slot_stride_ = slot_floats_ * (by_layer ? 1 : static_cast<size_t>(n_layers));
  size_t bytes = 0;
  if (!checked_mul(slot_floats_ * sizeof(float), static_cast<size_t>(n_pages), &bytes) ||
      !checked_mul(bytes, static_cast<size_t>(n_layers), &bytes)) {
    fail_option(
        "context_size", ErrorCode::kExhausted,
        "summaries of a KV cache of {} pages exceed this machine's memory; lower `context_size`",
        n_pages);
  }
  memory_ = Buffer(bytes, memory);
  slots_.assign(static_cast<size_t>(n_pages), -1);
  rows_.assign(static_cast<size_t>(n_pages * n_layers), 0);
  free_slots_.reserve(static_cast<size_t>(n_pages));
  for (int64_t slot = n_pages - 1; slot >= 0; --slot) {
    free_slots_.push_back(static_cast<int32_t>(slot));
  }
}

SummaryView PageSummaries::view(int32_t layer, const int32_t* page_table, int64_t n_blocks) const {
  TIDAL_CHECK(layer >= 0 && layer < n_layers_);
  SummaryView view;
  view.base = memory_.as<float>() + static_cast<size_t>(layer) * layer_stride_;
  view.slot_floats = slot_stride_;
  view.summary_floats = summary_floats_;
  view.slots = slots_.data();
  view.page_table = page_table;
  view.block_rows = spec_.block_rows;
  view.n_whole = n_blocks;
  return view;
}

int64_t PageSummaries::claim(int32_t layer, const int32_t* page_table, int64_t n_blocks,
                             int64_t known) {
  TIDAL_CHECK(known >= 0 && known <= n_blocks);
  int64_t made = known;
  for (; made < n_blocks; ++made) {
    const int64_t last = (made + 1) * spec_.block_rows - 1;
    if (rows_of(page_table[last / kPageRows])[layer] <= last % kPageRows) break;
  }
  for (int64_t block = made; block < n_blocks; ++block) {
    take_slot(page_table[((block + 1) * spec_.block_rows - 1) / kPageRows]);
  }
  for (int64_t end = n_blocks * spec_.block_rows; end > made * spec_.block_rows;) {
    const int64_t first = (end - 1) / kPageRows * kPageRows;
    rows_of(page_table[first / kPageRows])[layer] = static_cast<uint8_t>(end - first);
    end = first;
  }
  return made;
}

void PageSummaries::take_slot(int32_t page) {
  int32_t& slot = slots_[static_cast<size_t>(page)];
  if (slot >= 0) return;
  slot = free_slots_.back();
  free_slots_.pop_back();
}

void PageSummaries::drop(int32_t page) {
  std::fill_n(rows_of(page), n_layers_, uint8_t{0});
  int32_t& slot = slots_[static_cast<size_t>(page)];
  if (slot >= 0) free_slots_.push_back(slot);
  slot = -1;
}

void PageSummaries::cut(int32_t page, int64_t n_rows) {
  uint8_t* rows = rows_of(page);
  for (int32_t layer = 0; layer < n_layers_; ++layer) {
    rows[layer] = static_cast<uint8_t>(std::min<int64_t>(rows[layer], n_rows));
  }
}

void PageSummaries::copy(int32_t from, int32_t to, int64_t n_rows) {
  std::copy_n(rows_of(from), n_layers_, rows_of(to));
  cut(to, n_rows);
  if (slots_[static_cast<size_t>(from)] < 0) return;
  take_slot(to);
  for (int32_t layer = 0; layer < n_layers_; ++layer) {
    float* base = view(layer, nullptr, 0).base;
    memory().copy(base + static_cast<size_t>(slots_[static_cast<size_t>(to)]) * slot_stride_,
                  base + static_cast<size_t>(slots_[static_cast<size_t>(from)]) * slot_stride_,
                  slot_floats_ * sizeof(float));
  }
}

}  // namespace tidal
