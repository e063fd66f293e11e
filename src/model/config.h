// Config: the shape of a decoder-only transformer, whatever file it came from.
//
// Filled by an architecture (model/arch/) from GGUF metadata or a Hugging Face config.json, then
// checked by validate(): a Config that passes can be computed. Whether the tensors exist and have
// these shapes is checked when they are loaded. What a layer does is determined by its LayerConfig
// and the weights it has; nothing asks for the architecture.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/rope.h"

namespace tidal {

// Softmax attention over all earlier positions.
struct AttentionConfig {
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  // Which tensors such a layer has: for the loader. Steps go by which weights are present.
  bool qkv_bias = false;
  bool qk_norm = false;

  int64_t q_size() const { return int64_t{n_heads} * head_dim; }
  int64_t kv_size() const { return int64_t{n_kv_heads} * head_dim; }
};

struct LayerConfig {
  AttentionConfig attention;
  int32_t d_ff = 0;
};

struct Config {
  std::string architecture;  // "llama", "qwen2", "qwen3": for display
  std::string name;          // as the file calls it, may be empty
  int32_t d_model = 0;
  int32_t vocab_size = 0;
  int64_t context_length = 0;  // trained context, or what the model's scaling extends it to
  float rms_epsilon = 1e-5f;
  bool tied_output = false;
  RopeConfig rope;
  std::vector<LayerConfig> layers;

  int32_t n_layers() const { return static_cast<int32_t>(layers.size()); }
  // Heads are alike in all layers: the cache and attention plans assume one shape.
  const AttentionConfig& attention() const { return layers.front().attention; }
};

// n_layers identical layers. Throws Error(kCorrupt) if there are none or absurdly many.
std::vector<LayerConfig> repeat_layer(const LayerConfig& layer, int64_t n_layers,
                                      const std::string& source);

// Throws Error(kCorrupt | kUnsupported) naming source and field.
void validate(const Config& config, const std::string& source);

// Changes rope, and context_length with it. Throws Error(kInvalidArgument) naming the option.
void apply_override(const RopeOverride& override, Config* config);

}  // namespace tidal
