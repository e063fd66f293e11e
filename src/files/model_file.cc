#include "files/model_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/checked.h"

namespace tidal {

std::optional<int64_t> element_count(std::span<const int64_t> shape) {
  int64_t count = 1;
  bool empty = false;
  for (const int64_t n : shape) {
    if (n < 0) return std::nullopt;
    // A zero must not hide an overflow of the other dimensions.
    if (n == 0) {
      empty = true;
    } else if (!checked_mul(count, n, &count)) {
      return std::nullopt;
    }
  }
  return empty ? 0 : count;
}

std::span<const int64_t> without_leading_ones(std::span<const int64_t> shape) {
  while (!shape.empty() && shape.front() == 1) shape = shape.subspan(1);
  return shape;
}

std::string shape_string(std::span<const int64_t> shape) {
  return fmt::format("[{}]", fmt::join(shape, ", "));
}

std::string supported_dtypes() {
  std::string names;
  for (const DTypeInfo& info : all_dtypes()) {
    if (!names.empty()) names += ", ";
    names += info.name;
  }
  return names;
}

}  // namespace tidal
