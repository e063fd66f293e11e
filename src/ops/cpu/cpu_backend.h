// The CPU back end: Highway kernels chosen at run time for the processor, on a team of threads.
// TIDAL_FORCE_TARGET (avx2, avx512, avx512_vnni, avx512_bf16) caps the instruction set.
#pragma once

#include <memory>

#include "ops/backend.h"

namespace tidal {

std::unique_ptr<Backend> make_cpu_backend(int n_threads);

}  // namespace tidal
