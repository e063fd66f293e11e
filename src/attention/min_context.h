// The length from which reading less pays off: the default of --min-context.
//
// Below it a sparse step is slower: gathered rows arrive more slowly than rows in order, and every
// selecting layer scores and picks at a cost that does not depend on the cache's size. Both costs
// are weighed in bytes of a row, so the length follows from the plan and the row. `tidal bench
// --crossover` measures the true value: for SmolLM2's shipped plan 1,124 rows where this says
// 1,187, on two Zen 4 threads; for the 8B shape between 512 and 2,048, with a difference below 1 %,
// where this says 872.
#pragma once

#include <cstdint>

#include "attention/layer_plan.h"

namespace tidal {

// For methods whose layers no plan describes, and the most a plan can ask for: beyond it a sparse
// method reads what its user chose.
inline constexpr int64_t kDefaultMinContext = 1024;
inline constexpr int64_t kMaxMinContext = 4096;

// row_bytes: K and V of one position in one layer, all KV heads.
int64_t default_min_context(const LayerPlan& plan, int64_t row_bytes);

}  // namespace tidal
