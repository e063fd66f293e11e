// What the driver of matrix products (matmul_kernels.cc) hands to a kernel of one target.
//
// A tile is one or two panels of sixteen output rows (tensor/panels.h), a row per vector lane,
// times some rows of x. Nothing here owns memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"
#include "tensor/weight.h"

namespace tidal::cpu {

inline constexpr int kBlock = 32;  // columns that share a scale of x
inline constexpr int kMaxTilePanels = 2;
inline constexpr int kMaxTileRows = kMaxTilePanels * kPanelRows;
inline constexpr int kMaxTileInputs = 512;  // rows of x a tile call takes
inline constexpr int kDecodedBlocks = 16;   // blocks of a row that are decoded at a time
inline constexpr int kDecodedColumns = 256;

// 32 elements of a row of x as x = scale * q, |q| <= 32639. Eight bits would not do: they cost
// SmolLM2-135M 3.5 % of its top tokens, sixteen cost none and the same memory traffic. How `bits`
// holds q is the target's own business: as high and low bytes, or as sixteen bits in another order.
struct QuantizedBlock {
  uint8_t bits[2 * kBlock];
  int32_t minus_sum[3];  // of q: the first half of the block, the second, both
  float scale;
  float sum;  // scale * (sum of q)
};

// Decoded weights of the rows of a tile over some blocks.
struct DecodedPanel {
  alignas(64) uint8_t codes[kDecodedBlocks][kBlock / 4][kPanelRows * 4];
  alignas(64) float scales[kDecodedBlocks][2][kPanelRows];  // one per 16 columns, or [0] for 32
  alignas(64) float mins[kDecodedBlocks][kPanelRows];
  alignas(64) float values[kDecodedColumns][kPanelRows];
};

// Decoded panels and running sums: each worker's own.
struct TileScratch {
  DecodedPanel panels[kMaxTilePanels];
  alignas(64) float sums[kMaxTileInputs][kMaxTileRows];
};

struct Tile {
  const uint8_t* panels[kMaxTilePanels] = {};  // as many as the kernel takes: the last one again
  int n_panels = 0;                            // without repetitions
  int64_t cols = 0;
  const float* x = nullptr;                   // [n_inputs, cols]
  const QuantizedBlock* quantized = nullptr;  // [n_inputs, cols / kBlock]
  int64_t n_inputs = 0;                       // <= kMaxTileInputs
};

struct MatmulKernels {
  int tile_panels;
  // One row of x into cols / kBlock blocks.
  void (*quantize)(const float* x, int64_t cols, QuantizedBlock* out);
  // scratch->sums[i][r] = x row i · weight row r of the tile.
  void (*multiply)(DType dtype, const Tile& tile, TileScratch* scratch);
};

}  // namespace tidal::cpu
