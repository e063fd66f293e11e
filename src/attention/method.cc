#include "attention/method.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"

namespace tidal {

AttentionState::AttentionState(const AttentionShape& of)
    : shape(of),
      selections(static_cast<size_t>(of.n_layers)),
      selection_memory(static_cast<size_t>(of.n_layers)),
      page_bounds(static_cast<size_t>(of.n_layers)),
      bounds_memory(static_cast<size_t>(of.n_layers)),
      bounds_length(static_cast<size_t>(of.n_layers)),
      block_sums(static_cast<size_t>(of.n_layers)),
      blocks_length(static_cast<size_t>(of.n_layers)) {}

void AttentionState::add_selection(int32_t layer, int32_t n_lists, int64_t capacity) {
  TIDAL_CHECK(n_lists > 0 && capacity > 0);
  const auto lists = static_cast<size_t>(n_lists);
  const auto index = static_cast<size_t>(layer);
  selection_memory.at(index) =
      Buffer(lists * (sizeof(int64_t) + static_cast<size_t>(capacity) * sizeof(int32_t)));
  auto* counts = selection_memory[index].as<int64_t>();
  selections[index] = {n_lists, capacity, reinterpret_cast<int32_t*>(counts + n_lists), counts,
                       nullptr};
}

void AttentionState::add_bounds(int32_t layer, int32_t page_rows) {
  TIDAL_CHECK(page_rows > 0);
  bounds_page_rows = page_rows;
  const auto index = static_cast<size_t>(layer);
  bounds_memory.at(index) = Buffer(bounds_bytes(shape.max_length));
  page_bounds[index] = bounds_memory[index].as<float>();
}

size_t AttentionState::bounds_bytes(int64_t length) const {
  const int64_t pages = (length + bounds_page_rows - 1) / bounds_page_rows;
  return static_cast<size_t>(pages * 2 * shape.n_kv_heads * shape.head_dim) * sizeof(float);
}

void AttentionState::add_blocks(int32_t layer, int32_t rows_of_block) {
  TIDAL_CHECK(rows_of_block > 0);
  block_rows = rows_of_block;
  block_sums.at(static_cast<size_t>(layer)) = Buffer(blocks_bytes(shape.max_length));
}

size_t AttentionState::blocks_bytes(int64_t length) const {
  const int64_t blocks = (length + block_rows - 1) / block_rows;
  return static_cast<size_t>(blocks * 2 * shape.n_kv_heads * shape.head_dim) * sizeof(float);
}

void AttentionState::truncate(int64_t length) {
  TIDAL_CHECK(length >= 0);
  for (int64_t& up_to_date : bounds_length) up_to_date = std::min(up_to_date, length);
  // What is in a sum does not come out again: its block begins anew.
  for (int64_t& in_sums : blocks_length) {
    if (in_sums > length) in_sums = length / block_rows * block_rows;
  }
}

AttentionState AttentionState::clone() const {
  AttentionState copy(shape);
  copy.bounds_page_rows = bounds_page_rows;
  copy.bounds_length = bounds_length;
  copy.blocks_length = blocks_length;
  copy.rows = rows;
  copy.rows_total = rows_total;
  for (size_t layer = 0; layer < selections.size(); ++layer) {
    const Selection& selection = selections[layer];
    if (selection.n_lists > 0) {
      copy.add_selection(static_cast<int32_t>(layer), selection.n_lists, selection.capacity);
      std::memcpy(copy.selection_memory[layer].data(), selection_memory[layer].data(),
                  selection_memory[layer].size());
    }
    if (page_bounds[layer] != nullptr) {
      // Only what is in use: the rest has no memory behind it yet.
      copy.add_bounds(static_cast<int32_t>(layer), bounds_page_rows);
      std::memcpy(copy.page_bounds[layer], page_bounds[layer], bounds_bytes(bounds_length[layer]));
    }
    if (block_sums[layer].size() > 0) {
      copy.add_blocks(static_cast<int32_t>(layer), block_rows);
      std::memcpy(copy.block_sums[layer].data(), block_sums[layer].data(),
                  blocks_bytes(blocks_length[layer]));
    }
  }
  return copy;
}

}  // namespace tidal
