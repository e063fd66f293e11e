// A weight matrix in its file's type: a view; the bytes belong to whoever loaded them (a mapped
// file) or reordered them (tensor/panels.h), and must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace tidal {

enum class WeightLayout : uint8_t {
  kRows,    // row after row, as in files
  kPanels,  // sixteen rows interleaved: tensor/panels.h
};

inline constexpr int kPanelRows = 16;

struct Weight {
  DType dtype = DType::kF32;
  int64_t rows = 0;  // output features
  int64_t cols = 0;  // input features, contiguous
  const std::byte* data = nullptr;
  WeightLayout layout = WeightLayout::kRows;

  bool empty() const { return data == nullptr; }
  int64_t n_panels() const { return (rows + kPanelRows - 1) / kPanelRows; }
  size_t row_bytes() const { return dtype_row_bytes(dtype, cols); }
  size_t bytes() const { return static_cast<size_t>(rows) * row_bytes(); }
  // The memory it takes, including the padding of the last panel.
  size_t stored_bytes() const {
    const int64_t stored = layout == WeightLayout::kPanels ? n_panels() * kPanelRows : rows;
    return static_cast<size_t>(stored) * row_bytes();
  }
  // Layout kRows only.
  const std::byte* row(int64_t r) const { return data + static_cast<size_t>(r) * row_bytes(); }
};

}  // namespace tidal
