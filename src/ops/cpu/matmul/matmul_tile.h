// What the driver of matrix products (matmul_kernels.cc) hands to one target's kernel.
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
inline constexpr int kMaxTileInputs = 512;  // rows of x per tile call
inline constexpr int kDecodedBlocks = 16;   // blocks of a row decoded at a time
inline constexpr int kDecodedColumns = 256;

// 32 elements of a row of x as x = scale * q, |q| <= 32639. Eight bits would not do: they change
// 3.5 % of SmolLM2-135M's top tokens, sixteen change none for the same memory traffic. How `bits`
// holds q is up to the target: as high and low bytes, or as 16-bit values in another order.
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

// Decoded panels and running sums: one per worker.
struct TileScratch {
  DecodedPanel panels[kMaxTilePanels];
  alignas(64) float sums[kMaxTileInputs][kMaxTileRows];
};

struct Tile {
  const uint8_t* panels[kMaxTilePanels] = {};  // as many as the kernel takes, the last one repeated
  int n_panels = 0;                            // without repetitions
  int64_t cols = 0;
  const float* x = nullptr;                   // [n_inputs, cols]
  const QuantizedBlock* quantized = nullptr;  // [n_inputs, cols / kBlock]
  int64_t n_inputs = 0;                       // <= kMaxTileInputs
};

struct MatmulKernels {
  int tile_panels;
  // Quantizes one row of x into cols / kBlock blocks.
  void (*quantize)(const float* x, int64_t cols, QuantizedBlock* out);
  // scratch->sums[i][r] = x row i · weight row r of the tile.
  void (*multiply)(DType dtype, const Tile& tile, TileScratch* scratch);
};

}  // namespace tidal::cpu
