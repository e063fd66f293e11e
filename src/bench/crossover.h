// From which depth on a sparse method is faster than full attention.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace tidal {

struct DepthSpeedup {
  int64_t depth = 0;
  double speedup = 0;  // against full attention
};

// The depth beyond which every speed-up is above 1, on the line between the last one that is not
// and the next; the first depth where all are. None where the last is not. Depths ascend.
std::optional<int64_t> crossover(std::span<const DepthSpeedup> speedups);

}  // namespace tidal
