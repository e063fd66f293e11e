// Finds, checks and views the tensors of a decoder in an opened file of either kind.
//
// Matrices stay where they lie in the file, in its type and at whatever address that gives (GGUF
// aligns to 32 bytes, safetensors possibly not even to the element): kernels use unaligned loads.
// Norms and biases are copied to float buffers.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "files/model_file.h"
#include "model/config.h"
#include "model/model.h"
#include "model/tensor_names.h"
#include "tensor/buffer.h"

namespace tidal {

// A GGUF file or a safetensors checkpoint, behind one interface.
struct TensorSource {
  std::string path;
  std::function<const TensorInfo*(std::string_view)> find;  // null when absent
  std::span<const TensorInfo> tensors;
  const TensorNames* names = nullptr;
  bool ignores_leading_ones = false;  // of shapes, as GGUF does
};

struct LoadedWeights {
  ModelWeights weights;
  std::vector<Buffer> converted;  // what the float pointers of weights point to
};

// Every tensor that config requires, in the implied shape; throws Error naming file and tensor if
// one is missing, has another shape, or if a layer has tensors this architecture does not use.
// Memory is bounded by what the file really holds.
LoadedWeights load_weights(const TensorSource& source, const Config& config);

}  // namespace tidal
