// What the options of sampling may be.
#pragma once

#include <cstddef>
#include <cstdint>

#include "tidal/options.h"

namespace tidal {

inline constexpr size_t kLongestDryBreaker = 40;  // bytes

// Throws Error(kInvalidArgument) naming the option that is out of range.
void check_sampling(const SamplingOptions& options, int32_t vocab_size);

}  // namespace tidal
