// Panels: the order of a weight's bytes in which vector lanes are rows, so that a product reads one
// stream of memory, front to back, and need not transpose.
//
// Sixteen rows are a panel: [panel][block of a row][field of the block][16 rows]. The fields of a
// block are its kHeaderHalves 16-bit values, then 32-bit words, then perhaps one more 16-bit value
// (formats/*.h). So the field at byte o of a block stands at byte 16 o of the panel's block, and a
// panel takes what its rows take. The last panel is filled up with rows of zeros.
// The caller owns all memory. Any address will do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/parallel.h"
#include "tensor/weight.h"

namespace tidal {

// Panels [first, first + n) of a weight in rows, to `out`: [n][kPanelRows * row_bytes] bytes.
void rows_to_panels(const Weight& rows, int64_t first, int64_t n, std::byte* out);

// The opposite, of a weight in panels: rows [16 first, 16 (first + n)), as many as there are.
void panels_to_rows(const Weight& panels, int64_t first, int64_t n, std::byte* out);

// A weight's bytes in either layout, to `out`: as many as stored_bytes() there.
void copy_weight(const Weight& from, WeightLayout layout, ThreadPool& pool, std::byte* out);

}  // namespace tidal
