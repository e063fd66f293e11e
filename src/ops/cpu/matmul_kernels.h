// Matrix products of the CPU back end; the contract is that of Backend::matmul.
//
// Weights are decoded in registers from the bytes of their file. A row of x is quantized once a
// call to int16 in blocks of 32 (for integer formats; float formats use the floats). All output
// rows of all linears are one pool of work. matmul_variant-inl.h has the arithmetic.
#pragma once

#include <cstdint>
#include <span>

#include "base/parallel.h"
#include "ops/backend.h"
#include "ops/cpu/target.h"
#include "tensor/buffer.h"

namespace tidal::cpu {

// Working memory: quantized activations, and panels of decoded weights for each worker. Within the
// reserved limits no call allocates; a larger one grows it.
class MatmulScratch {
 public:
  void reserve(int64_t n_rows, int64_t in_features, int n_workers);

  std::byte* activations() const { return activations_.data(); }
  std::byte* worker(int index) const {
    return workers_.data() + static_cast<size_t>(index) * worker_bytes_;
  }

 private:
  Buffer activations_;
  Buffer workers_;
  size_t worker_bytes_ = 0;
};

void matmul(ThreadPool& pool, MatmulScratch& scratch, Target target, const float* x, int64_t n_rows,
            std::span<const Linear> linears);

}  // namespace tidal::cpu
