#include "attention/method.h"

#include <cstring>

#include "base/check.h"

namespace tidal {

AttentionState::AttentionState(const AttentionShape& of)
    : shape(of),
      selections(static_cast<size_t>(of.n_layers)),
      selection_memory(static_cast<size_t>(of.n_layers)) {}

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

void AttentionState::truncate(int64_t length) {
  TIDAL_CHECK(length >= 0);
  if (bounds) bounds->truncate(length);
  if (sums) sums->truncate(length);
}

AttentionState AttentionState::clone() const {
  AttentionState copy(shape);
  copy.rows = rows;
  copy.rows_total = rows_total;
  if (bounds) copy.bounds = bounds->clone();
  if (sums) copy.sums = sums->clone();
  for (size_t layer = 0; layer < selections.size(); ++layer) {
    const Selection& selection = selections[layer];
    if (selection.n_lists == 0) continue;
    copy.add_selection(static_cast<int32_t>(layer), selection.n_lists, selection.capacity);
    std::memcpy(copy.selection_memory[layer].data(), selection_memory[layer].data(),
                selection_memory[layer].size());
  }
  return copy;
}

}  // namespace tidal
