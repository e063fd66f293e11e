#include "model/shapes.h"

#include <string_view>

#include "base/fail.h"

namespace tidal {
namespace {

struct Shape {
  std::string_view name;
  std::string_view family;
  int32_t n_layers, d_model, n_heads, n_kv_heads, head_dim, d_ff, vocab_size;
  int64_t context_length;
  float rms_epsilon;
  double theta;
  double llama3_factor;  // 0: no scaling
  bool tied;
  bool qk_norm;
};

constexpr Shape kShapes[] = {
    {"smollm2-135m", "llama", 30, 576, 9, 3, 64, 1536, 49152, 8192, 1e-5f, 1e5, 0, true, false},
    {"llama-3.2-1b", "llama", 16, 2048, 32, 8, 64, 8192, 128256, 131072, 1e-5f, 5e5, 32, true,
     false},
    {"llama-3.1-8b", "llama", 32, 4096, 32, 8, 128, 14336, 128256, 131072, 1e-5f, 5e5, 8, false,
     false},
    {"llama-2-7b", "llama", 32, 4096, 32, 32, 128, 11008, 32000, 4096, 1e-5f, 1e4, 0, false, false},
    {"qwen3-8b", "qwen3", 36, 4096, 32, 8, 128, 12288, 151936, 40960, 1e-6f, 1e6, 0, false, true},
};

constexpr int64_t kLlama3OriginalContext = 8192;

}  // namespace

Config shape_config(const std::string& name) {
  for (const Shape& shape : kShapes) {
    if (shape.name != name) continue;
    Config config;
    config.architecture = shape.family;
    config.name = name;
    config.d_model = shape.d_model;
    LayerConfig layer;
    layer.attention = {.n_heads = shape.n_heads,
                       .n_kv_heads = shape.n_kv_heads,
                       .head_dim = shape.head_dim,
                       .qk_norm = shape.qk_norm};
    layer.d_ff = shape.d_ff;
    config.layers = repeat_layer(layer, shape.n_layers, name);
    config.vocab_size = shape.vocab_size;
    config.context_length = shape.context_length;
    config.rms_epsilon = shape.rms_epsilon;
    config.tied_output = shape.tied;
    config.rope.theta = shape.theta;
    if (shape.llama3_factor > 0) {
      config.rope.scaling = RopeScaling::kLlama3;
      config.rope.factor = shape.llama3_factor;
      config.rope.original_context = kLlama3OriginalContext;
    }
    return config;
  }
  fail(ErrorCode::kInvalidArgument, "unknown shape '{}'; available: {}", name, shape_names());
}

std::string shape_names() {
  std::string names;
  for (const Shape& shape : kShapes) {
    if (!names.empty()) names += ", ";
    names += shape.name;
  }
  return names;
}

}  // namespace tidal
