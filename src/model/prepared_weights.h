// The weights of a model as a back end reads them: in its memory, matrices in its layout.
#pragma once

#include "model/model.h"
#include "ops/backend.h"
#include "tensor/buffer.h"

namespace tidal {

// What has to be copied for that. The embedding, which is looked up by rows in every layout, norms
// and biases stay in place if the back end's memory is the host's.
struct PreparedWeights {
  ModelWeights weights;
  Buffer memory;
};

// Bytes of that copy.
size_t prepared_bytes(const ModelWeights& weights, WeightLayout layout, const Memory& memory);

// Makes the copy. release_file: the matrices are in mapped files, whose pages are released one
// matrix after the other, so that there are never two copies in memory. progress: as it goes.
PreparedWeights prepare(const ModelWeights& weights, Backend& backend, bool release_file,
                        const LoadProgress& progress = {});

}  // namespace tidal
