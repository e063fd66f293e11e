// The weights of a model in the order that a back end reads (tensor/panels.h).
#pragma once

#include "model/model.h"
#include "tensor/buffer.h"

namespace tidal {

// The matrices of `weights` but the embedding, which is looked up by rows in every layout, copied
// to `layout`; all else is the same memory as in `weights`.
struct ReorderedWeights {
  ModelWeights weights;
  Buffer memory;
};

// Bytes of that copy.
size_t reordered_bytes(const ModelWeights& weights, WeightLayout layout);

// Makes it on n_threads threads. release_file: the matrices are in mapped files, the pages of which
// are handed back one matrix after the other, so that there are not two copies in memory.
ReorderedWeights reorder(const ModelWeights& weights, WeightLayout layout, int n_threads,
                         bool release_file);

}  // namespace tidal
