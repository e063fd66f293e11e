// Picks: the lists of rows that one layer picked, a Selection in a back end's memory.
#pragma once

#include <cstdint>

#include "ops/selection.h"
#include "tensor/buffer.h"

namespace tidal {

class Picks {
 public:
  Picks() = default;  // of a layer that picks nothing
  Picks(int32_t n_lists, int64_t capacity, Memory& memory);

  const Selection& selection() const { return selection_; }
  // The same lists as the host sees them (MirroredBuffer).
  const Selection& host() const { return host_; }
  void push() const { memory_.push(memory_.size()); }
  void pull() const { memory_.pull(memory_.size()); }
  // With the same lists; the host's view of them is freshly pulled.
  Picks clone() const;

 private:
  MirroredBuffer memory_;  // [n_lists] counts, then [n_lists, capacity] positions
  Selection selection_;
  Selection host_;
};

}  // namespace tidal
