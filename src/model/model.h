// Model: configuration and weights of one loaded checkpoint.
//
// Owns the mapped files its weights point into. Shared by decoders, on any thread; nothing they see
// changes. Matrices keep the file's type. They stay where the file has them, possibly unaligned,
// until a decoder needs them in its back end's memory and layout: then they are copied, once for
// all decoders, and the memory of the file's pages is released.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "files/gguf.h"
#include "files/safetensors.h"
#include "model/config.h"
#include "model/weights.h"
#include "tensor/buffer.h"

namespace tidal {

class Backend;
class Memory;
struct PreparedWeights;

// Bytes done and in total.
using LoadProgress = std::function<void(int64_t done, int64_t total)>;

// The Hugging Face folder a path names, directly or by a safetensors file (or index) in it; nullopt
// for a GGUF file.
std::optional<std::string> hf_folder_of(const std::string& path);

class Model {
 public:
  ~Model();
  // Loads a GGUF file, a Hugging Face folder, or a safetensors file (or index) in one. Throws Error
  // naming file and field. progress hears of the copy to a back end's layout, whenever it is made.
  static std::shared_ptr<const Model> load(const std::string& path, const RopeOverride& rope = {},
                                           LoadProgress progress = {});
  // Random weights of a named shape ("llama-3.1-8b", …), matrices in `dtype`: for benchmarks. Takes
  // the memory a file of that model would, in `layout`. Throws Error(kInvalidArgument) naming the
  // available shapes.
  static std::shared_ptr<const Model> random(const std::string& shape, DType dtype, uint64_t seed,
                                             WeightLayout layout = WeightLayout::kRows);

  const std::string& path() const { return path_; }
  const Config& config() const { return config_; }
  // As loaded: in rows, or random weights in their layout.
  const ModelWeights& weights() const { return weights_; }
  // As a back end reads them; the first call that needs a copy makes it. Copies the model keeps are
  // shared by all back ends with the same memory and layout.
  const ModelWeights& weights(Backend& backend) const;
  // In the host's memory: the bytes of that copy, 0 if none is needed, and the total of all weights
  // including it.
  size_t reordered_bytes(WeightLayout layout) const;
  size_t memory_bytes(WeightLayout layout) const;
  size_t weight_bytes() const { return weight_bytes_; }            // all tensors
  size_t step_weight_bytes() const { return step_weight_bytes_; }  // read by one decoded token
  int64_t n_parameters() const { return n_parameters_; }           // elements of all tensors

  // In file order; none for random weights.
  std::span<const TensorInfo> tensors() const {
    if (gguf_) return gguf_->tensors();
    return safetensors_ ? safetensors_->tensors() : std::span<const TensorInfo>();
  }

  // Where the tokenizer and chat template come from: one of these, or neither for random weights.
  const GgufFile* gguf() const { return gguf_ ? &*gguf_ : nullptr; }
  const std::string& hf_folder() const { return hf_folder_; }

 private:
  Model();
  void open_gguf(const std::string& path, const RopeOverride& rope);
  void open_hf(const std::string& path, const RopeOverride& rope);
  void count_weights();

  std::string path_;
  Config config_;
  ModelWeights weights_;
  size_t weight_bytes_ = 0;
  size_t step_weight_bytes_ = 0;
  int64_t n_parameters_ = 0;
  std::optional<GgufFile> gguf_;
  std::optional<SafetensorsFolder> safetensors_;
  std::string hf_folder_;
  std::vector<Buffer> converted_;  // norms and biases as float; random weights
  LoadProgress progress_;
  WeightLayout layout_ = WeightLayout::kRows;

  struct Prepared {
    const Memory* memory;
    WeightLayout layout;
    std::unique_ptr<const PreparedWeights> weights;
  };
  mutable std::mutex prepared_mutex_;
  mutable std::vector<Prepared> prepared_;
};

}  // namespace tidal
