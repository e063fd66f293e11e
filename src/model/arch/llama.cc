// Llama and models built like it: SmolLM2, Mistral without a sliding window, Llama 3.x.
#include <string_view>

#include "model/arch/architecture.h"

namespace tidal {
namespace {

constexpr std::string_view kModelTypes[] = {"llama", "mistral"};

void complete_gguf(const GgufFile&, Config* config) {
  // Converters to GGUF reorder the rows of q and k so that pairs are adjacent.
  config->rope.pairing = RopePairing::kInterleaved;
}

void complete_hf(const JsonFields& json, Config*) {
  refuse_true(json, "attention_bias");  // it also puts one on the output projection
  refuse_true(json, "mlp_bias");
  refuse_sliding_window(json, json.require_string("model_type") == "mistral");
}

}  // namespace

extern const Architecture kLlama = {"llama", kModelTypes, complete_gguf, complete_hf};

}  // namespace tidal
