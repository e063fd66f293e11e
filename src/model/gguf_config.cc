#include "model/gguf_config.h"

#include <algorithm>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/fail.h"
#include "base/quote.h"
#include "files/model_file.h"
#include "model/arch/architecture.h"
#include "model/narrow.h"
#include "model/tensor_names.h"

namespace tidal {
namespace {

// The keys of one architecture: "llama.block_count" for key("block_count").
class Keys {
 public:
  explicit Keys(const GgufFile& file, std::string_view architecture)
      : file_(file), prefix_(std::string(architecture) + ".") {
    n_layers_ = size("block_count");
  }

  int32_t n_layers() const { return n_layers_; }

  std::string key(std::string_view name) const { return prefix_ + std::string(name); }

  int32_t size(std::string_view name) const {
    return narrow_size(file_.require_int(key(name)), file_.path(), key(name));
  }
  std::optional<int64_t> find_int(std::string_view name) const { return file_.find_int(key(name)); }
  int32_t size_or(std::string_view name, int32_t otherwise) const {
    const std::optional<int64_t> value = find_int(name);
    return value ? narrow_size(*value, file_.path(), key(name)) : otherwise;
  }
  // A size that may differ by layer, a number or an array with one per layer: the value all share.
  std::optional<int32_t> find_layer_size(std::string_view name) const {
    if (!file_.is_array(key(name))) {
      return file_.has_key(key(name)) ? std::optional(size(name)) : std::nullopt;
    }
    const std::vector<int64_t> values = file_.find_ints(key(name)).value();
    if (std::ssize(values) != n_layers_) {
      fail(ErrorCode::kCorrupt, "{}: {} has {} values for {} layers", file_.path(), key(name),
           values.size(), n_layers_);
    }
    for (const int64_t value : values) {
      if (value != values.front()) {
        fail(ErrorCode::kUnsupported,
             "{}: {} is {} in one layer and {} in another: layers of different sizes are not "
             "supported",
             file_.path(), key(name), values.front(), value);
      }
    }
    return narrow_size(values.front(), file_.path(), key(name));
  }
  int32_t layer_size(std::string_view name) const {
    const std::optional<int32_t> value = find_layer_size(name);
    return value ? *value : size(name);
  }
  std::optional<double> find_float(std::string_view name) const {
    return file_.find_float(key(name));
  }
  void refuse_above(std::string_view name, int64_t most, std::string_view what) const {
    const std::optional<int64_t> value = find_int(name);
    if (value.value_or(0) > most) {
      fail(ErrorCode::kUnsupported, "{}: {} is {}: {} not supported", file_.path(), key(name),
           *value, what);
    }
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
  int32_t n_layers_ = 0;
};

void read_yarn(const Keys& keys, Config* config) {
  RopeConfig& rope = config->rope;
  rope.scaling = RopeScaling::kYarn;
  rope.original_context =
      keys.find_int("rope.scaling.original_context_length").value_or(config->context_length);
  rope.yarn_beta_fast = keys.find_float("rope.scaling.yarn_beta_fast").value_or(32);
  rope.yarn_beta_slow = keys.find_float("rope.scaling.yarn_beta_slow").value_or(1);
  if (const auto factor = keys.find_float("rope.scaling.attn_factor")) {
    rope.yarn_attention_factor = *factor * yarn_magnitude(rope.factor);
  }
  const double extended = rope.factor * static_cast<double>(rope.original_context);
  if (extended > static_cast<double>(config->context_length) && extended < 0x1p31) {
    config->context_length = static_cast<int64_t>(extended);
  }
}

void read_factors(const GgufFile& file, Config* config) {
  const TensorInfo* tensor = file.find_tensor(kGgufRopeFactors);
  if (tensor == nullptr) return;
  const std::vector<int64_t> expected = {config->attention().head_dim / 2};
  if (!std::ranges::equal(without_leading_ones(tensor->shape), without_leading_ones(expected))) {
    fail(ErrorCode::kCorrupt, "{}: tensor {} has shape {}, must be {}", file.path(), tensor->name,
         shape_string(tensor->shape), shape_string(expected));
  }
  config->rope.factors.resize(static_cast<size_t>(expected[0]));
  decode_row(tensor->dtype, tensor->data, config->rope.factors.data(), expected[0]);
}

void read_rope(const GgufFile& file, const Keys& keys, Config* config) {
  RopeConfig& rope = config->rope;
  rope.theta = keys.find_float("rope.freq_base").value_or(rope.theta);
  const int32_t head_dim = config->attention().head_dim;
  const int32_t rotated = keys.size_or("rope.dimension_count", head_dim);
  if (rotated != head_dim) {
    fail(ErrorCode::kUnsupported, "{}: {} is {} for heads of {}: only whole heads are rotated here",
         file.path(), keys.key("rope.dimension_count"), rotated, head_dim);
  }
  read_factors(file, config);
  // As llama.cpp reads them: a factor without a type means linear, and a factor of 0 none.
  const std::string_view type = file.find_string(keys.key("rope.scaling.type")).value_or("linear");
  if (type == "none") return;
  rope.factor = keys.find_float("rope.scaling.factor")
                    .value_or(keys.find_float("rope.scale_linear").value_or(1));
  if (rope.factor == 0) rope.factor = 1;
  if (type == "linear") {
    if (rope.factor != 1) rope.scaling = RopeScaling::kLinear;
  } else if (type == "yarn") {
    read_yarn(keys, config);
  } else {
    fail(ErrorCode::kUnsupported,
         "{}: {} {} is not supported; supported are none, linear, yarn, and the factors of {}",
         file.path(), keys.key("rope.scaling.type"), quote(type), kGgufRopeFactors);
  }
}

// The embedding decides the vocabulary size; anything else that states it must agree.
void read_vocabulary(const GgufFile& file, const Keys& keys, Config* config) {
  const std::string& path = file.path();
  const TensorInfo* embedding = file.find_tensor(kGgufNames.embedding);
  if (embedding == nullptr) {
    fail(ErrorCode::kNotFound, "{}: tensor {} is missing{}", path, kGgufNames.embedding,
         file.tensors().empty() ? ": the file holds only a vocabulary" : "");
  }
  const std::span<const int64_t> shape = without_leading_ones(embedding->shape);
  if (shape.size() != 2) {
    fail(ErrorCode::kCorrupt, "{}: tensor {} has shape {}, must be a matrix", path, embedding->name,
         shape_string(embedding->shape));
  }
  config->vocab_size = narrow_size(shape[0], path, "the vocabulary size");
  if (const auto said = keys.find_int("vocab_size"); said && *said != config->vocab_size) {
    fail(ErrorCode::kCorrupt, "{}: {} is {}, but {} has {} rows", path, keys.key("vocab_size"),
         *said, embedding->name, config->vocab_size);
  }
  const auto tokens = file.find_strings("tokenizer.ggml.tokens");
  if (tokens && tokens->size() > static_cast<size_t>(config->vocab_size)) {
    fail(ErrorCode::kCorrupt, "{}: tokenizer.ggml.tokens has {} tokens, but {} has {} rows", path,
         tokens->size(), embedding->name, config->vocab_size);
  }
}

// What all families share: identical layers.
LayerConfig read_layer(const GgufFile& file, const Keys& keys, int32_t d_model) {
  LayerConfig layer;
  layer.d_ff = keys.layer_size("feed_forward_length");
  AttentionConfig& attention = layer.attention;
  attention.n_heads = keys.layer_size("attention.head_count");
  attention.n_kv_heads =
      keys.find_layer_size("attention.head_count_kv").value_or(attention.n_heads);
  keys.refuse_above("expert_count", 0, "mixtures of experts are");
  keys.refuse_above("attention.sliding_window", 0, "sliding-window attention is");
  if (!keys.find_int("attention.key_length") && d_model % attention.n_heads != 0) {
    fail(ErrorCode::kCorrupt, "{}: {} {} is not divisible by {} {}", file.path(),
         keys.key("embedding_length"), d_model, keys.key("attention.head_count"),
         attention.n_heads);
  }
  attention.head_dim = keys.size_or("attention.key_length", d_model / attention.n_heads);
  if (keys.size_or("attention.value_length", attention.head_dim) != attention.head_dim) {
    fail(ErrorCode::kUnsupported, "{}: {} differs from {}: not supported", file.path(),
         keys.key("attention.value_length"), keys.key("attention.key_length"));
  }
  return layer;
}

}  // namespace

Config read_gguf_config(const GgufFile& file) {
  const Architecture& architecture = architecture_of_gguf(file);
  const Keys keys(file, architecture.name);
  Config config;
  config.architecture = architecture.name;
  config.name = std::string(file.find_string("general.name").value_or(""));
  config.d_model = keys.size("embedding_length");
  config.layers =
      repeat_layer(read_layer(file, keys, config.d_model), keys.n_layers(), file.path());
  config.context_length = keys.size("context_length");
  config.rms_epsilon =
      static_cast<float>(file.require_float(keys.key("attention.layer_norm_rms_epsilon")));
  config.tied_output = file.find_tensor(kGgufNames.output) == nullptr;
  read_vocabulary(file, keys, &config);
  // Checked before anything is sized by head_dim.
  validate(config, file.path());
  read_rope(file, keys, &config);
  architecture.complete_gguf(file, &config);
  validate(config, file.path());
  return config;
}

}  // namespace tidal
