// Back ends by name: the one list of them.
#pragma once

#include <memory>
#include <string_view>

#include "ops/backend.h"

namespace tidal {

// "cpu" or "reference". Throws Error(kUnsupported) that names what there is.
std::unique_ptr<Backend> make_backend(std::string_view name, int n_threads);

}  // namespace tidal
