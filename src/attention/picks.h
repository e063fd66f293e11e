// Picks: the lists of rows that one layer picked, a Selection with its memory.
#pragma once

#include <cstdint>

#include "ops/selection.h"
#include "tensor/buffer.h"

namespace tidal {

class Picks {
 public:
  Picks() = default;  // of a layer that picks nothing
  Picks(int32_t n_lists, int64_t capacity);

  const Selection& selection() const { return selection_; }
  Picks clone() const;

 private:
  Buffer memory_;  // [n_lists] counts, then [n_lists, capacity] positions
  Selection selection_;
};

}  // namespace tidal
