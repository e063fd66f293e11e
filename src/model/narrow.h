// A size from a file as int32_t, or Error(kCorrupt) naming file and field.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>

#include "base/fail.h"

namespace tidal {

inline int32_t narrow_size(int64_t value, const std::string& source, std::string_view field) {
  if (value < 1 || value > std::numeric_limits<int32_t>::max()) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, not a size", source, field, value);
  }
  return static_cast<int32_t>(value);
}

}  // namespace tidal
