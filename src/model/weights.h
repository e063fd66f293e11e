// The weights of a decoder, as views: matrices in their file's type, norms and biases as floats.
// What a layer lacks is empty, and its step is skipped. The memory belongs to whoever made them.
//
// for_each_matrix and for_each_vector list all weights: code that loads, copies, counts or names
// weights goes through them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/config.h"
#include "tensor/weight.h"

namespace tidal {

struct LayerWeights {
  std::span<const float> attention_norm;  // [d_model]
  Weight wq, wk, wv;                  // [n_heads * head_dim, d_model], [n_kv_heads * head_dim, …]
  std::span<const float> bq, bk, bv;  // [n_heads * head_dim], [n_kv_heads * head_dim], or none
  std::span<const float> q_norm, k_norm;  // [head_dim] or none
  Weight wo;                              // [d_model, n_heads * head_dim]
  std::span<const float> ffn_norm;        // [d_model]
  Weight w_gate, w_up;                    // [d_ff, d_model]
  Weight w_down;                          // [d_model, d_ff]
};

struct ModelWeights {
  Weight embedding;  // [vocab_size, d_model]
  std::vector<LayerWeights> layers;
  std::span<const float> output_norm;  // [d_model]
  Weight output;                       // [vocab_size, d_model]; the embedding when tied
};

enum class MatrixRole : uint8_t { kQ, kK, kV, kO, kGate, kUp, kDown, kOutput };

struct MatrixShape {
  int64_t rows = 0;
  int64_t cols = 0;
};

// Name of a layer's matrix.
MatrixShape matrix_shape(const Config& config, const LayerConfig& layer, MatrixRole role);

// Calls f(role, matrix) for every matrix that is multiplied with, in the order of a step; not for
// the embedding, which is looked up. Weights: LayerWeights or ModelWeights.
template <typename Weights, typename F>
void for_each_matrix(Weights& weights, const F& f) {
  if constexpr (requires { weights.layers; }) {
    for (auto& layer : weights.layers) for_each_matrix(layer, f);
    f(MatrixRole::kOutput, weights.output);
  } else {
    f(MatrixRole::kQ, weights.wq);
    f(MatrixRole::kK, weights.wk);
    f(MatrixRole::kV, weights.wv);
    f(MatrixRole::kO, weights.wo);
    f(MatrixRole::kGate, weights.w_gate);
    f(MatrixRole::kUp, weights.w_up);
    f(MatrixRole::kDown, weights.w_down);
  }
}

// Calls f(vector) for every norm and bias, including empty ones.
template <typename Weights, typename F>
void for_each_vector(Weights& weights, const F& f) {
  if constexpr (requires { weights.layers; }) {
    for (auto& layer : weights.layers) for_each_vector(layer, f);
    f(weights.output_norm);
  } else {
    for (auto* vector : {&weights.attention_norm, &weights.bq, &weights.bk, &weights.bv,
                         &weights.q_norm, &weights.k_norm, &weights.ffn_norm}) {
      f(*vector);
    }
  }
}

}  // namespace tidal
