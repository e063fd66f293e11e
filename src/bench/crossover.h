// The depth from which a sparse method is faster than full attention.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace tidal {

struct DepthSpeedup {
  int64_t depth = 0;
  double speedup = 0;  // relative to full attention
};

// The depth beyond which every speed-up is above 1, interpolated between the last one that is not
// and the next; the first depth if all are. None if the last is not. Depths ascend.
std::optional<int64_t> crossover(std::span<const DepthSpeedup> speedups);

}  // namespace tidal
