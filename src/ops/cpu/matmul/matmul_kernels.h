// Matrix products of the CPU back end; the contract is that of Backend::matmul.
//
// Weights are in panels (tensor/panels.h) and decoded in registers. A row of x is quantized once
// per call to 16 bits in blocks of 32 (for integer formats; float formats use the floats). All
// output rows of all linears form one pool of work. matmul_variant-inl.h has the arithmetic.
#pragma once

#include <cstdint>
#include <span>

#include "base/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/target.h"
#include "tensor/buffer.h"

namespace tidal::cpu {

struct QuantizedBlock;
struct TileScratch;

// Working memory: quantized activations, and decoded weights for each worker. Within the reserved
// limits no call allocates; a larger call grows it.
class MatmulScratch {
 public:
  void reserve(int64_t n_rows, int64_t in_features, int n_workers);

  QuantizedBlock* activations() const { return activations_.as<QuantizedBlock>(); }
  TileScratch* workers() const { return workers_.as<TileScratch>(); }

 private:
  Buffer activations_;
  Buffer workers_;
};

void matmul(ThreadPool& pool, MatmulScratch& scratch, Target target, const float* x, int64_t n_rows,
            std::span<const Linear> linears);

}  // namespace tidal::cpu
