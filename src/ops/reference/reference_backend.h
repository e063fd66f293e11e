// The scalar back end: every operation reads like its definition, in double precision where that is
// cheap. The test oracle for all other back ends; single-threaded, slow on purpose.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace tidal {

std::unique_ptr<Backend> make_reference_backend();

}  // namespace tidal
