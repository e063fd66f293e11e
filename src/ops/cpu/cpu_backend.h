// The CPU back end: Highway kernels, chosen for the processor at run time, on a team of threads.
// TIDAL_FORCE_TARGET (avx2, avx512, avx512_vnni, avx512_bf16) caps the instruction set.
#pragma once

#include <memory>
#include <string_view>

#include "ops/backend.h"

namespace tidal {

// Throws Error for an unknown TIDAL_FORCE_TARGET and on an x86 processor without AVX2.
std::unique_ptr<Backend> make_cpu_backend(int n_threads);

// The instruction set a back end made now would use, e.g. "avx512_vnni".
std::string_view cpu_target_name();

}  // namespace tidal
