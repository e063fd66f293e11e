// Qwen2 and Qwen2.5: biases on the query, key and value projections.
#include <string_view>

#include "model/arch/architecture.h"

namespace tidal {
namespace {

constexpr std::string_view kModelTypes[] = {"qwen2"};

void complete_gguf(const GgufFile&, Config* config) { config->qkv_bias = true; }

void complete_hf(const JsonFields& json, Config* config) {
  config->qkv_bias = true;
  refuse_sliding_window(json, false);
}

}  // namespace

extern const Architecture kQwen2 = {"qwen2", kModelTypes, complete_gguf, complete_hf};

}  // namespace tidal
