#include "attention/picks.h"

#include <cstring>

#include "base/check.h"

namespace tidal {

Picks::Picks(int32_t n_lists, int64_t capacity)
    : memory_(static_cast<size_t>(n_lists) *
              (sizeof(int64_t) + static_cast<size_t>(capacity) * sizeof(int32_t))) {
  TIDAL_CHECK(n_lists > 0 && capacity > 0);
  auto* counts = memory_.as<int64_t>();
  selection_ = {n_lists, capacity, reinterpret_cast<int32_t*>(counts + n_lists), counts, nullptr};
}

Picks Picks::clone() const {
  if (selection_.n_lists == 0) return {};
  Picks copy(selection_.n_lists, selection_.capacity);
  std::memcpy(copy.memory_.data(), memory_.data(), memory_.size());
  return copy;
}

}  // namespace tidal
