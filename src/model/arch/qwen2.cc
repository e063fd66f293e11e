// Qwen2 and Qwen2.5: biases on the query, key and value projections.
#include <string_view>

#include "model/arch/architecture.h"

namespace tidal {
namespace {

constexpr std::string_view kModelTypes[] = {"qwen2"};

void add_biases(Config* config) {
  for (LayerConfig& layer : config->layers) layer.attention.qkv_bias = true;
}

void complete_gguf(const GgufFile&, Config* config) { add_biases(config); }

void complete_hf(const JsonFields& json, Config* config) {
  add_biases(config);
  refuse_sliding_window(json, false);
}

}  // namespace

extern const Architecture kQwen2 = {"qwen2", kModelTypes, complete_gguf, complete_hf};

}  // namespace tidal
