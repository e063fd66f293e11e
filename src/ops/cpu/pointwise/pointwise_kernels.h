// The short operations of the CPU back end; their contracts are in ops/backend.h. Small calls run
// on the calling thread, larger ones are cut into tasks by row; the bits are the same.
#pragma once

#include <cstdint>
#include <span>

#include "base/parallel.h"
#include "ops/backend.h"

namespace tidal::cpu {

void embed(ThreadPool& pool, const Weight& table, std::span<const int32_t> ids, float* out);
void rms_norm(ThreadPool& pool, const float* x, const float* gain, int64_t n_rows, int64_t width,
              float epsilon, float* out);
void rope(ThreadPool& pool, float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim,
          const float* cos_sin, RopePairing pairing);
void swiglu(ThreadPool& pool, float* gate, const float* up, int64_t n);

}  // namespace tidal::cpu
