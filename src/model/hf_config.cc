#include "model/hf_config.h"

#include <nlohmann/json.hpp>
#include <optional>

#include "base/fail.h"
#include "base/quote.h"
#include "files/model_file.h"
#include "model/arch/architecture.h"
#include "model/narrow.h"

namespace tidal {
namespace {

int32_t size_field(const JsonFields& json, std::string_view key) {
  return narrow_size(json.require_int(key), json.source(), key);
}

int32_t size_field_or(const JsonFields& json, std::string_view key, int32_t otherwise) {
  const std::optional<int64_t> value = json.find_int(key);
  return value ? narrow_size(*value, json.source(), key) : otherwise;
}

double yarn_attention_factor(const JsonFields& json, double factor) {
  if (const auto given = json.find_float("attention_factor")) return *given;
  const double mscale = json.find_float("mscale").value_or(0);
  const double mscale_all_dim = json.find_float("mscale_all_dim").value_or(0);
  if (mscale == 0 || mscale_all_dim == 0) return 0;
  return yarn_magnitude(factor, mscale) / yarn_magnitude(factor, mscale_all_dim);
}

void read_yarn(const JsonFields& json, Config* config) {
  RopeConfig& rope = config->rope;
  rope.scaling = RopeScaling::kYarn;
  rope.original_context =
      json.find_int("original_max_position_embeddings").value_or(config->context_length);
  const double implied =
      static_cast<double>(config->context_length) / static_cast<double>(rope.original_context);
  rope.factor = json.find_float("factor").value_or(implied);
  rope.yarn_attention_factor = yarn_attention_factor(json, rope.factor);
  rope.yarn_beta_fast = json.find_float("beta_fast").value_or(32);
  rope.yarn_beta_slow = json.find_float("beta_slow").value_or(1);
  rope.yarn_truncate = json.find_bool("truncate").value_or(true);
  // Some checkpoints state the context before scaling, some the one after.
  const double extended = rope.factor * static_cast<double>(rope.original_context);
  if (extended > static_cast<double>(config->context_length) && extended < 0x1p31) {
    config->context_length = static_cast<int64_t>(extended);
  }
}

void read_llama3(const JsonFields& json, Config* config) {
  RopeConfig& rope = config->rope;
  rope.scaling = RopeScaling::kLlama3;
  rope.factor = json.require_float("factor");
  rope.original_context =
      json.find_int("original_max_position_embeddings").value_or(config->context_length);
  rope.llama3_low_freq_factor = json.require_float("low_freq_factor");
  rope.llama3_high_freq_factor = json.require_float("high_freq_factor");
}

void read_rope_scaling(const JsonFields& json, Config* config) {
  RopeConfig& rope = config->rope;
  rope.theta = json.find_float("rope_theta").value_or(rope.theta);
  const std::string type =
      json.find_string("rope_type").value_or(json.find_string("type").value_or("default"));
  if (json.find_float("partial_rotary_factor").value_or(1) != 1) {
    fail(ErrorCode::kUnsupported,
         "{}: partial_rotary_factor: only 1 is supported, i.e. whole heads are rotated",
         json.source());
  }
  if (type == "default") return;
  if (type == "linear") {
    rope.scaling = RopeScaling::kLinear;
    rope.factor = json.require_float("factor");
  } else if (type == "yarn") {
    read_yarn(json, config);
  } else if (type == "llama3") {
    read_llama3(json, config);
  } else {
    fail(ErrorCode::kUnsupported,
         "{}: rope scaling {} is not supported; supported are default, linear, yarn, llama3",
         json.source(), quote(type));
  }
}

void read_rope(const JsonFields& json, Config* config) {
  config->rope.pairing = RopePairing::kHalves;
  config->rope.theta = json.find_float("rope_theta").value_or(config->rope.theta);
  if (json.find_float("partial_rotary_factor").value_or(1) != 1) {
    fail(ErrorCode::kUnsupported,
         "{}: partial_rotary_factor: only 1 is supported, i.e. whole heads are rotated",
         json.source());
  }
  if (const auto parameters = json.find_object("rope_parameters")) {
    read_rope_scaling(*parameters, config);
  } else if (const auto scaling = json.find_object("rope_scaling")) {
    read_rope_scaling(*scaling, config);
  }
}

// What all families share: identical layers. head_dim is 0 if neither the file nor the width
// determines it.
LayerConfig read_layer(const JsonFields& json, int32_t d_model) {
  LayerConfig layer;
  layer.d_ff = size_field(json, "intermediate_size");
  AttentionConfig& attention = layer.attention;
  attention.n_heads = size_field(json, "num_attention_heads");
  attention.n_kv_heads = size_field_or(json, "num_key_value_heads", attention.n_heads);
  const bool divisible = d_model % attention.n_heads == 0;
  attention.head_dim = size_field_or(json, "head_dim", divisible ? d_model / attention.n_heads : 0);
  return layer;
}

}  // namespace

Config read_hf_config(const nlohmann::json& root, const std::string& source) {
  const JsonFields json(root, source);
  const Architecture& architecture = architecture_of_hf(json);
  if (json.has("quantization_config") && json.find_object("quantization_config")) {
    fail(ErrorCode::kUnsupported,
         "{}: quantization_config: quantized safetensors are not supported; F32, F16 and BF16 "
         "are, and GGUF files in their own types",
         source);
  }
  if (const auto activation = json.find_string("hidden_act");
      activation.value_or("silu") != "silu") {
    fail(ErrorCode::kUnsupported, "{}: hidden_act {} is not supported; supported is silu", source,
         quote(*activation));
  }
  Config config;
  config.architecture = architecture.name;
  config.d_model = size_field(json, "hidden_size");
  config.layers =
      repeat_layer(read_layer(json, config.d_model), size_field(json, "num_hidden_layers"), source);
  config.vocab_size = size_field(json, "vocab_size");
  config.context_length = size_field(json, "max_position_embeddings");
  config.rms_epsilon = static_cast<float>(json.find_float("rms_norm_eps").value_or(1e-6));
  config.tied_output = json.find_bool("tie_word_embeddings").value_or(false);
  read_rope(json, &config);
  architecture.complete_hf(json, &config);
  if (!json.find_int("head_dim") && config.attention().head_dim == 0) {
    fail(ErrorCode::kCorrupt, "{}: hidden_size {} is not divisible by num_attention_heads {}",
         source, config.d_model, config.attention().n_heads);
  }
  validate(config, source);
  return config;
}

}  // namespace tidal
