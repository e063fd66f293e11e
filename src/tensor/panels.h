// Panels: a layout of a weight's bytes in which vector lanes are rows, so that a product reads one
// stream of memory, front to back, without transposing.
//
// A panel is sixteen rows: [panel][block of a row][field of the block][16 rows]. The fields of a
// block are its kHeaderHalves 16-bit values, then 32-bit words, then perhaps one more 16-bit value
// (formats/*.h). So the field at byte o of a block is at byte 16 o of the panel's block, and a
// panel takes as much memory as its rows. The last panel is padded with rows of zeros. The caller
// owns all memory. Any alignment will do.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/parallel.h"
#include "tensor/weight.h"

namespace tidal {

// Panels [first, first + n) of a weight stored in rows, to `out`: [n][kPanelRows * row_bytes]
// bytes.
void rows_to_panels(const Weight& rows, int64_t first, int64_t n, std::byte* out);

// The inverse, from a weight in panels: rows [16 first, 16 (first + n)), as far as they exist.
void panels_to_rows(const Weight& panels, int64_t first, int64_t n, std::byte* out);

// A weight's bytes in either layout, to `out`: stored_bytes() of that layout.
void copy_weight(const Weight& from, WeightLayout layout, ThreadPool& pool, std::byte* out);

}  // namespace tidal
