#include "model/weights.h"

#include "base/check.h"

namespace tidal {

MatrixShape matrix_shape(const Config& config, const LayerConfig& layer, MatrixRole role) {
  const AttentionConfig& attention = layer.attention;
  switch (role) {
    case MatrixRole::kQ:
      return {attention.q_size(), config.d_model};
    case MatrixRole::kK:
    case MatrixRole::kV:
      return {attention.kv_size(), config.d_model};
    case MatrixRole::kO:
      return {config.d_model, attention.q_size()};
    case MatrixRole::kGate:
    case MatrixRole::kUp:
      return {layer.d_ff, config.d_model};
    case MatrixRole::kDown:
      return {config.d_model, layer.d_ff};
    case MatrixRole::kOutput:
      return {config.vocab_size, config.d_model};
  }
  TIDAL_CHECK(false, "matrix role {}", static_cast<int>(role));
  return {};
}

}  // namespace tidal
