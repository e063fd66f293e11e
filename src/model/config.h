// Config: the shape of a decoder-only transformer, whatever file it came from.
//
// Filled by an architecture (model/arch/) from GGUF metadata or a Hugging Face config.json, then
// checked by validate(): a Config that passes can be computed with. Whether the tensors are there
// and have these shapes is checked when they are loaded.
#pragma once

#include <cstdint>
#include <string>

#include "model/rope.h"

namespace tidal {

struct Config {
  std::string architecture;  // "llama", "qwen2", "qwen3"
  std::string name;          // as the file calls it, may be empty
  int32_t n_layers = 0;
  int32_t d_model = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t d_ff = 0;
  int32_t vocab_size = 0;
  int64_t context_length = 0;  // trained context, or what the model's scaling extends it to
  float rms_epsilon = 1e-5f;
  bool qkv_bias = false;
  bool qk_norm = false;
  bool tied_output = false;
  RopeConfig rope;

  int64_t q_size() const { return int64_t{n_heads} * head_dim; }
  int64_t kv_size() const { return int64_t{n_kv_heads} * head_dim; }
};

// Throws Error(kCorrupt | kUnsupported) naming source and field.
void validate(const Config& config, const std::string& source);

// Changes rope, and context_length with it. Throws Error(kInvalidArgument) naming the option.
void apply_override(const RopeOverride& override, Config* config);

}  // namespace tidal
