#include "attention/picks.h"

#include "base/check.h"

namespace tidal {

Picks::Picks(int32_t n_lists, int64_t capacity, Memory& memory)
    : memory_(static_cast<size_t>(n_lists) *
                  (sizeof(int64_t) + static_cast<size_t>(capacity) * sizeof(int32_t)),
              memory) {
  TIDAL_CHECK(n_lists > 0 && capacity > 0);
  const auto lists_at = [&](int64_t* counts) {
    return Selection{n_lists, capacity, reinterpret_cast<int32_t*>(counts + n_lists), counts,
                     nullptr};
  };
  selection_ = lists_at(memory_.device<int64_t>());
  host_ = lists_at(memory_.host<int64_t>());
}

Picks Picks::clone() const {
  if (selection_.n_lists == 0) return {};
  Picks copy(selection_.n_lists, selection_.capacity, memory_.memory());
  memory_.memory().copy(copy.memory_.device<std::byte>(), memory_.device<std::byte>(),
                        memory_.size());
  return copy;
}

}  // namespace tidal
