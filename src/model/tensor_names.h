// What the two kinds of file call the tensors of a decoder.
#pragma once

#include <string_view>

namespace tidal {

// Layer tensors are layer_prefix, the layer's number, ".", stem, and ".weight" or ".bias".
struct TensorNames {
  std::string_view embedding;
  std::string_view output_norm;
  std::string_view output;
  std::string_view layer_prefix;
  std::string_view attention_norm, wq, wk, wv, wo, q_norm, k_norm;
  std::string_view ffn_norm, w_gate, w_up, w_down;
};

inline constexpr std::string_view kGgufRopeFactors = "rope_freqs.weight";

inline constexpr TensorNames kGgufNames = {
    .embedding = "token_embd.weight",
    .output_norm = "output_norm.weight",
    .output = "output.weight",
    .layer_prefix = "blk.",
    .attention_norm = "attn_norm",
    .wq = "attn_q",
    .wk = "attn_k",
    .wv = "attn_v",
    .wo = "attn_output",
    .q_norm = "attn_q_norm",
    .k_norm = "attn_k_norm",
    .ffn_norm = "ffn_norm",
    .w_gate = "ffn_gate",
    .w_up = "ffn_up",
    .w_down = "ffn_down",
};

inline constexpr TensorNames kHfNames = {
    .embedding = "model.embed_tokens.weight",
    .output_norm = "model.norm.weight",
    .output = "lm_head.weight",
    .layer_prefix = "model.layers.",
    .attention_norm = "input_layernorm",
    .wq = "self_attn.q_proj",
    .wk = "self_attn.k_proj",
    .wv = "self_attn.v_proj",
    .wo = "self_attn.o_proj",
    .q_norm = "self_attn.q_norm",
    .k_norm = "self_attn.k_norm",
    .ffn_norm = "post_attention_layernorm",
    .w_gate = "mlp.gate_proj",
    .w_up = "mlp.up_proj",
    .w_down = "mlp.down_proj",
};

}  // namespace tidal
