// A back end whose memory the host must not touch, standing in for a device in tests.
//
// The addresses of its memory can be read and written by nobody, so what reaches around the seam
// dies where it does so: an operation works on their alias (poison_memory.h). Operands that do not
// lie in that memory abort too: a device could not read them. The work itself is the CPU back
// end's. Including this header adds it to backend_names() as "poison"; with TIDAL_TEST_POISON in
// the environment it takes the place of "cpu", the default.
#pragma once

#include <cstdlib>
#include <memory>

#include "ops/backend.h"
#include "ops/factory/backend_factory.h"

namespace tidal::test {

std::unique_ptr<Backend> make_poison_backend(int n_threads);

inline const bool kPoisonBackendAdded = add_backend(
    std::getenv("TIDAL_TEST_POISON") == nullptr ? "poison" : "cpu", make_poison_backend);

}  // namespace tidal::test
