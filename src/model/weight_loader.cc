#include "model/weight_loader.h"

#include <fmt/format.h>

#include <algorithm>
#include <initializer_list>
#include <unordered_set>
#include <utility>

#include "base/fail.h"
#include "base/quote.h"

namespace tidal {
namespace {

class Loader {
 public:
  Loader(const TensorSource& source, const Config& config) : source_(source), config_(config) {}

  LoadedWeights load() {
    const TensorNames& names = *source_.names;
    ModelWeights& weights = loaded_.weights;
    load_embedding(&weights);
    // Layer by layer: a file that promises more layers than it holds fails at the first missing.
    for (int32_t i = 0; i < config_.n_layers; ++i) weights.layers.push_back(load_layer(i));
    weights.output_norm = vector(std::string(names.output_norm), config_.d_model);
    refuse_unused();
    return std::move(loaded_);
  }

 private:
  void load_embedding(ModelWeights* weights) {
    std::string embedding(source_.names->embedding);
    std::string output(source_.names->output);
    // Tied checkpoints may hold the one matrix under either name.
    if (config_.tied_output && source_.find(embedding) == nullptr &&
        source_.find(output) != nullptr) {
      embedding = output;
    }
    if (config_.tied_output) output = embedding;
    weights->embedding = matrix(embedding, config_.vocab_size, config_.d_model);
    weights->output = matrix(output, config_.vocab_size, config_.d_model);
  }

  LayerWeights load_layer(int32_t i) {
    const TensorNames& names = *source_.names;
    const int64_t width = config_.d_model;
    const int64_t q = config_.q_size();
    const int64_t kv = config_.kv_size();
    const auto weight = [&](std::string_view stem) {
      return fmt::format("{}{}.{}.weight", names.layer_prefix, i, stem);
    };
    const auto bias = [&](std::string_view stem, int64_t n) {
      return config_.qkv_bias ? vector(fmt::format("{}{}.{}.bias", names.layer_prefix, i, stem), n)
                              : nullptr;
    };
    LayerWeights layer;
    layer.attention_norm = vector(weight(names.attention_norm), width);
    layer.wq = matrix(weight(names.wq), q, width);
    layer.wk = matrix(weight(names.wk), kv, width);
    layer.wv = matrix(weight(names.wv), kv, width);
    layer.bq = bias(names.wq, q);
    layer.bk = bias(names.wk, kv);
    layer.bv = bias(names.wv, kv);
    if (config_.qk_norm) {
      layer.q_norm = vector(weight(names.q_norm), config_.head_dim);
      layer.k_norm = vector(weight(names.k_norm), config_.head_dim);
    }
    layer.wo = matrix(weight(names.wo), width, q);
    layer.ffn_norm = vector(weight(names.ffn_norm), width);
    layer.w_gate = matrix(weight(names.w_gate), config_.d_ff, width);
    layer.w_up = matrix(weight(names.w_up), config_.d_ff, width);
    layer.w_down = matrix(weight(names.w_down), width, config_.d_ff);
    return layer;
  }

  const TensorInfo& require(const std::string& name, std::initializer_list<int64_t> shape) {
    const TensorInfo* tensor = source_.find(name);
    if (tensor == nullptr) {
      fail(ErrorCode::kNotFound, "{}: tensor {} is missing", source_.path, name);
    }
    std::span<const int64_t> wanted = shape;
    std::span<const int64_t> found = tensor->shape;
    if (source_.ignores_leading_ones) {
      wanted = without_leading_ones(wanted);
      found = without_leading_ones(found);
    }
    if (!std::ranges::equal(wanted, found)) {
      fail(ErrorCode::kCorrupt, "{}: tensor {} has shape {}, but the configuration implies {}",
           source_.path, name, shape_string(tensor->shape), shape_string(shape));
    }
    used_.insert(tensor);
    return *tensor;
  }

  Weight matrix(const std::string& name, int64_t rows, int64_t cols) {
    const TensorInfo& tensor = require(name, {rows, cols});
    return Weight{tensor.dtype, rows, cols, tensor.data};
  }

  const float* vector(const std::string& name, int64_t n) {
    const TensorInfo& tensor = require(name, {n});
    Buffer& buffer = loaded_.converted.emplace_back(static_cast<size_t>(n) * sizeof(float));
    decode_row(tensor.dtype, tensor.data, buffer.as<float>(), n);
    return buffer.as<float>();
  }

  // A layer with a bias or a norm that nobody reads would compute something else than its authors
  // meant.
  void refuse_unused() const {
    for (const TensorInfo& tensor : source_.tensors) {
      if (!tensor.name.starts_with(source_.names->layer_prefix)) continue;
      if (used_.contains(&tensor) || tensor.name.ends_with("rotary_emb.inv_freq")) continue;
      fail(ErrorCode::kUnsupported,
           "{}: tensor {} belongs to no {} model with {} layers that tidal knows", source_.path,
           quote(tensor.name), config_.architecture, config_.n_layers);
    }
  }

  const TensorSource& source_;
  const Config& config_;
  LoadedWeights loaded_;
  std::unordered_set<const TensorInfo*> used_;
};

}  // namespace

LoadedWeights load_weights(const TensorSource& source, const Config& config) {
  return Loader(source, config).load();
}

}  // namespace tidal
