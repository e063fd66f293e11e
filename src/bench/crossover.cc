#include "bench/crossover.h"

#include <algorithm>
#include <cmath>

namespace tidal {

std::optional<int64_t> crossover(std::span<const DepthSpeedup> speedups) {
  const auto last_loss = std::find_if(speedups.rbegin(), speedups.rend(),
                                      [](const DepthSpeedup& s) { return s.speedup <= 1; });
  if (last_loss == speedups.rbegin()) return std::nullopt;
  const DepthSpeedup& gain = *(last_loss - 1);
  if (last_loss == speedups.rend()) return gain.depth;
  const double share = (1 - last_loss->speedup) / (gain.speedup - last_loss->speedup);
  return last_loss->depth +
         std::llround(share * static_cast<double>(gain.depth - last_loss->depth));
}

}  // namespace tidal
