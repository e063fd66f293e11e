// Qwen3, dense: an RMS norm on every head of q and k, head size 128 whatever the width.
#include <string_view>

#include "model/arch/architecture.h"

namespace tidal {
namespace {

constexpr std::string_view kModelTypes[] = {"qwen3"};
constexpr int32_t kDefaultHeadDim = 128;

void add_norms(Config* config) {
  for (LayerConfig& layer : config->layers) layer.attention.qk_norm = true;
}

void complete_gguf(const GgufFile&, Config* config) { add_norms(config); }

void complete_hf(const JsonFields& json, Config* config) {
  add_norms(config);
  if (!json.has("head_dim")) {
    for (LayerConfig& layer : config->layers) layer.attention.head_dim = kDefaultHeadDim;
  }
  refuse_true(json, "attention_bias");
  refuse_sliding_window(json, false);
}

}  // namespace

extern const Architecture kQwen3 = {"qwen3", kModelTypes, complete_gguf, complete_hf};

}  // namespace tidal
