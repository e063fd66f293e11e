// What the driver of matrix products (matmul_kernels.cc) hands to a kernel of one target.
//
// A tile is one or two panels of output rows, a row per vector lane, times some rows of x. Nothing
// here owns memory.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace tidal::cpu {

inline constexpr int kBlock = 32;     // columns that share a scale of x
inline constexpr int kMaxLanes = 16;  // of the widest target
inline constexpr int kMaxPanels = 2;  // side by side in a tile
inline constexpr int kMaxTileRows = kMaxPanels * kMaxLanes;
inline constexpr int kMaxTileInputs = 512;  // rows of x a tile call takes
inline constexpr int kPanelBlocks = 16;     // blocks of a row that a panel holds
inline constexpr int kFloatPanelColumns = 256;

// 32 elements of a row of x as x = scale * q, |q| <= 32767. Eight bits would not do: they cost
// SmolLM2-135M 3.5 % of its top tokens, sixteen cost none and the same memory traffic. Of every
// four elements the order is 0, 2, 1, 3, in which a byte vector of weights splits for free.
struct QuantizedBlock {
  int16_t q[kBlock];
  float scale;
  float sum;  // scale * (sum of q)
};

// Decoded weights of kLanes rows (the lanes of the target) over some blocks.
struct Panel {
  alignas(64) int8_t codes[kPanelBlocks][kBlock / 4][kMaxLanes * 4];
  alignas(64) float scales[kPanelBlocks][2][kMaxLanes];  // one per 16 columns, or [0] for 32
  alignas(64) float mins[kPanelBlocks][kMaxLanes];
  alignas(64) float values[kFloatPanelColumns][kMaxLanes];
};

// The panels of a tile and running sums: each worker's own.
struct TileScratch {
  Panel panels[kMaxPanels];
  alignas(64) float sums[kMaxTileInputs][kMaxTileRows];
};

struct Tile {
  const uint8_t* rows = nullptr;  // as many weight rows as the kernel's tile_rows
  size_t row_bytes = 0;
  int64_t cols = 0;
  const float* x = nullptr;                   // [n_inputs, cols]
  const QuantizedBlock* quantized = nullptr;  // [n_inputs, cols / kBlock]
  int64_t n_inputs = 0;                       // <= kMaxTileInputs
};

struct MatmulKernels {
  int tile_rows;
  // One row of x into cols / kBlock blocks.
  void (*quantize)(const float* x, int64_t cols, QuantizedBlock* out);
  // scratch->sums[i][r] = x row i · weight row r.
  void (*multiply)(DType dtype, const Tile& tile, TileScratch* scratch);
};

}  // namespace tidal::cpu
