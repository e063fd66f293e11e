// What a request must be like to run at all.
#pragma once

#include <cstdint>

#include "tidal/engine.h"

namespace tidal {

// Throws Error naming what is wrong: an empty prompt, tokens that are not in the vocabulary, more
// of them than the cache holds.
void check_request(const Request& request, int64_t context_size, int32_t vocab_size);

}  // namespace tidal
