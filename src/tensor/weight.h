// A weight matrix in the type its file stores it in: a view, the bytes belong to whoever loaded
// them (usually a mapped file) and must outlive it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tensor/dtype.h"

namespace tidal {

struct Weight {
  DType dtype = DType::kF32;
  int64_t rows = 0;  // output features
  int64_t cols = 0;  // input features, contiguous
  const std::byte* data = nullptr;

  bool empty() const { return data == nullptr; }
  size_t row_bytes() const { return dtype_row_bytes(dtype, cols); }
  size_t bytes() const { return static_cast<size_t>(rows) * row_bytes(); }
  const std::byte* row(int64_t r) const { return data + static_cast<size_t>(r) * row_bytes(); }
};

}  // namespace tidal
