// The names of a decoder's tensors in the two kinds of file.
#pragma once

#include <array>
#include <string_view>

#include "model/weights.h"

namespace tidal {

// Layer tensors are layer_prefix, the layer's number, ".", stem, and ".weight" or ".bias".
struct TensorNames {
  std::string_view embedding;
  std::string_view output_norm;
  std::string_view output;
  std::string_view layer_prefix;
  std::string_view attention_norm, q_norm, k_norm, ffn_norm;
  std::array<std::string_view, 7> matrices;  // in the order of MatrixRole

  std::string_view matrix(MatrixRole role) const { return matrices[static_cast<size_t>(role)]; }
};

inline constexpr std::string_view kGgufRopeFactors = "rope_freqs.weight";

inline constexpr TensorNames kGgufNames = {
    .embedding = "token_embd.weight",
    .output_norm = "output_norm.weight",
    .output = "output.weight",
    .layer_prefix = "blk.",
    .attention_norm = "attn_norm",
    .q_norm = "attn_q_norm",
    .k_norm = "attn_k_norm",
    .ffn_norm = "ffn_norm",
    .matrices = {"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"},
};

inline constexpr TensorNames kHfNames = {
    .embedding = "model.embed_tokens.weight",
    .output_norm = "model.norm.weight",
    .output = "lm_head.weight",
    .layer_prefix = "model.layers.",
    .attention_norm = "input_layernorm",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .ffn_norm = "post_attention_layernorm",
    .matrices = {"self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
                 "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"},
};

}  // namespace tidal
