// What the readers of model files share: a tensor as it lies in a file, and the checks every size
// passes. A TensorInfo is a view: the bytes belong to the file object that lists it and live as
// long as that. Files are not trusted; the readers check before handing anything out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace tidal {

inline constexpr size_t kMaxTensorDimensions = 4;

struct TensorInfo {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;  // outermost first, i.e. [rows, cols] for a matrix
  const std::byte* data;       // aligned to 8 bytes in GGUF, unaligned in safetensors
  size_t bytes;                // exactly what dtype and shape need
};

// The product of the dimensions; nullopt if one is negative or the product overflows.
std::optional<int64_t> element_count(std::span<const int64_t> shape);

// GGUF does not distinguish [n] from [1, n]: its tensors have four dimensions, and writers may
// include or omit outermost dimensions of 1.
std::span<const int64_t> without_leading_ones(std::span<const int64_t> shape);

std::string shape_string(std::span<const int64_t> shape);  // "[576, 1536]"

// "F32, F16, BF16, Q4_0, ...": every type tidal reads, for error messages.
std::string supported_dtypes();

}  // namespace tidal
