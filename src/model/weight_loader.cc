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
    // Layer by layer: a file that promises more layers than it holds fails at the first missing
    // tensor.
    for (int32_t i = 0; i < config_.n_layers(); ++i) weights.layers.push_back(load_layer(i));
    weights.output_norm = vector(std::string(names.output_norm), config_.d_model);
    refuse_unused();
    return std::move(loaded_);
  }

 private:
  void load_embedding(ModelWeights* weights) {
    std::string embedding(source_.names->embedding);
    std::string output(source_.names->output);
    // Tied checkpoints may store the shared matrix under either name.
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
    const LayerConfig& config = config_.layers[static_cast<size_t>(i)];
    const AttentionConfig& attention = config.attention;
    const auto name = [&](std::string_view stem, std::string_view kind) {
      return fmt::format("{}{}.{}.{}", names.layer_prefix, i, stem, kind);
    };
    const auto bias = [&](MatrixRole role, int64_t n) {
      return vector(name(names.matrix(role), "bias"), n);
    };
    LayerWeights layer;
    for_each_matrix(layer, [&](MatrixRole role, Weight& weight) {
      const auto [rows, cols] = matrix_shape(config_, config, role);
      weight = matrix(name(names.matrix(role), "weight"), rows, cols);
    });
    layer.attention_norm = vector(name(names.attention_norm, "weight"), config_.d_model);
    layer.ffn_norm = vector(name(names.ffn_norm, "weight"), config_.d_model);
    if (attention.qkv_bias) {
      layer.bq = bias(MatrixRole::kQ, attention.q_size());
      layer.bk = bias(MatrixRole::kK, attention.kv_size());
      layer.bv = bias(MatrixRole::kV, attention.kv_size());
    }
    if (attention.qk_norm) {
      layer.q_norm = vector(name(names.q_norm, "weight"), attention.head_dim);
      layer.k_norm = vector(name(names.k_norm, "weight"), attention.head_dim);
    }
    return layer;
  }

  const TensorInfo& require(const std::string& name, std::initializer_list<int64_t> shape) {
    const TensorInfo* tensor = source_.find(name);
    if (tensor == nullptr) {
      fail(ErrorCode::kNotFound, "{}: tensor {} is missing", source_.path, name);
    }
    std::span<const int64_t> expected = shape;
    std::span<const int64_t> found = tensor->shape;
    if (source_.ignores_leading_ones) {
      expected = without_leading_ones(expected);
      found = without_leading_ones(found);
    }
    if (!std::ranges::equal(expected, found)) {
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

  std::span<const float> vector(const std::string& name, int64_t n) {
    const TensorInfo& tensor = require(name, {n});
    Buffer& buffer = loaded_.converted.emplace_back(static_cast<size_t>(n) * sizeof(float));
    decode_row(tensor.dtype, tensor.data, buffer.as<float>(), n);
    return buffer.span<float>();
  }

  // A layer with a bias or norm that nobody reads would compute something other than its authors
  // intended.
  void refuse_unused() const {
    for (const TensorInfo& tensor : source_.tensors) {
      if (!tensor.name.starts_with(source_.names->layer_prefix)) continue;
      if (used_.contains(&tensor) || tensor.name.ends_with("rotary_emb.inv_freq")) continue;
      fail(ErrorCode::kUnsupported,
           "{}: tensor {} is not part of any {} model with {} layers that tidal knows",
           source_.path, quote(tensor.name), config_.architecture, config_.n_layers());
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
