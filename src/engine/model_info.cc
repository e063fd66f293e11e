#include "engine/model_info.h"

namespace tidal {

ModelInfo model_info(const Model& model, const Tokenizer& tokenizer, size_t token_bytes) {
  const Config& config = model.config();
  ModelInfo info;
  info.name = config.name;
  info.path = model.path();
  info.architecture = config.architecture;
  info.n_parameters = model.n_parameters();
  info.n_bytes = static_cast<int64_t>(model.weight_bytes());
  info.n_layers = config.n_layers();
  info.d_model = config.d_model;
  info.vocab_size = config.vocab_size;
  info.trained_context = config.context_length;
  info.token_bytes = static_cast<int64_t>(token_bytes);
  info.bos = tokenizer.bos();
  info.eos = tokenizer.eos();
  return info;
}

}  // namespace tidal
