#include "model/config.h"

#include <cmath>
#include <iterator>
#include <string_view>

#include "base/fail.h"

namespace tidal {
namespace {

// Far above any real model, low enough that sizes computed from them fit 64 bits.
constexpr int64_t kMaxLayers = 4096;
constexpr int64_t kMaxWidth = int64_t{1} << 20;
constexpr int64_t kMaxHeadDim = 1024;
constexpr int64_t kMaxVocabulary = int64_t{1} << 24;
constexpr int64_t kMaxContext = int64_t{1} << 28;

void check_range(const std::string& source, std::string_view field, int64_t value, int64_t max) {
  if (value >= 1 && value <= max) return;
  fail(ErrorCode::kCorrupt, "{}: {} is {}, must be from 1 to {}", source, field, value, max);
}

void check_positive(const std::string& source, std::string_view field, double value, double max) {
  if (std::isfinite(value) && value > 0 && value <= max) return;
  fail(ErrorCode::kCorrupt, "{}: {} is {}, must be above 0 and at most {}", source, field, value,
       max);
}

void validate_rope(const RopeConfig& rope, int32_t head_dim, const std::string& source) {
  check_positive(source, "the rope base frequency (theta)", rope.theta, 1e15);
  if (rope.theta <= 1) {
    fail(ErrorCode::kCorrupt, "{}: the rope base frequency (theta) is {}, must be above 1", source,
         rope.theta);
  }
  check_positive(source, "the rope scaling factor", rope.factor, 1e6);
  if (rope.scaling == RopeScaling::kYarn || rope.scaling == RopeScaling::kLlama3) {
    check_range(source, "the original context of rope scaling", rope.original_context, kMaxContext);
  }
  if (rope.scaling == RopeScaling::kYarn) {
    check_positive(source, "yarn's beta_fast", rope.yarn_beta_fast, 1e6);
    check_positive(source, "yarn's beta_slow", rope.yarn_beta_slow, 1e6);
    if (rope.yarn_attention_factor != 0) {
      check_positive(source, "yarn's attention factor", rope.yarn_attention_factor, 1e6);
    }
  }
  if (rope.scaling == RopeScaling::kLlama3) {
    check_positive(source, "llama3's low_freq_factor", rope.llama3_low_freq_factor, 1e6);
    check_positive(source, "llama3's high_freq_factor", rope.llama3_high_freq_factor, 1e6);
    if (rope.llama3_low_freq_factor >= rope.llama3_high_freq_factor) {
      fail(ErrorCode::kCorrupt, "{}: llama3's low_freq_factor {} is not below high_freq_factor {}",
           source, rope.llama3_low_freq_factor, rope.llama3_high_freq_factor);
    }
  }
  if (!rope.factors.empty() && rope.factors.size() != static_cast<size_t>(head_dim / 2)) {
    fail(ErrorCode::kCorrupt, "{}: {} rope frequency factors for a head size of {}", source,
         rope.factors.size(), head_dim);
  }
  for (const float factor : rope.factors) {
    check_positive(source, "a rope frequency factor", static_cast<double>(factor), 1e6);
  }
}

void validate_attention(const AttentionConfig& attention, const std::string& source) {
  check_range(source, "the number of heads", attention.n_heads, kMaxWidth);
  check_range(source, "the number of KV heads", attention.n_kv_heads, attention.n_heads);
  check_range(source, "the head size", attention.head_dim, kMaxHeadDim);
  if (attention.n_heads % attention.n_kv_heads != 0) {
    fail(ErrorCode::kCorrupt, "{}: {} heads cannot be shared by {} KV heads", source,
         attention.n_heads, attention.n_kv_heads);
  }
  if (attention.head_dim % 8 != 0) {
    fail(ErrorCode::kUnsupported, "{}: the head size is {}; supported are multiples of 8", source,
         attention.head_dim);
  }
  if (attention.q_size() > kMaxWidth) {
    fail(ErrorCode::kCorrupt, "{}: {} heads of size {} are wider than {}", source,
         attention.n_heads, attention.head_dim, kMaxWidth);
  }
}

// The factor from the options, or the model's if they keep its kind of scaling.
double overridden_factor(const RopeOverride& override, const RopeConfig& rope) {
  if (override.scaling == RopeScaling::kNone) return 1.0;
  if (override.scale) return *override.scale;
  if (override.scaling && *override.scaling != rope.scaling) {
    fail_option("rope_scale", ErrorCode::kInvalidArgument,
                "`rope_scaling` needs `rope_scale`: the factor to extend the context by");
  }
  return rope.factor;
}

}  // namespace

std::vector<LayerConfig> repeat_layer(const LayerConfig& layer, int64_t n_layers,
                                      const std::string& source) {
  check_range(source, "the number of layers", n_layers, kMaxLayers);
  return std::vector<LayerConfig>(static_cast<size_t>(n_layers), layer);
}

void validate(const Config& config, const std::string& source) {
  check_range(source, "the number of layers", std::ssize(config.layers), kMaxLayers);
  check_range(source, "the width (embedding_length, hidden_size)", config.d_model, kMaxWidth);
  check_range(source, "the vocabulary size", config.vocab_size, kMaxVocabulary);
  check_range(source, "the context length", config.context_length, kMaxContext);
  check_positive(source, "the RMS norm's epsilon", static_cast<double>(config.rms_epsilon), 1.0);
  const AttentionConfig& first = config.attention();
  for (const LayerConfig& layer : config.layers) {
    check_range(source, "the feed-forward width", layer.d_ff, kMaxWidth);
    validate_attention(layer.attention, source);
    if (layer.attention.n_heads != first.n_heads ||
        layer.attention.n_kv_heads != first.n_kv_heads ||
        layer.attention.head_dim != first.head_dim) {
      fail(ErrorCode::kUnsupported, "{}: layers with different heads are not supported", source);
    }
  }
  validate_rope(config.rope, first.head_dim, source);
}

void apply_override(const RopeOverride& override, Config* config) {
  RopeConfig& rope = config->rope;
  if (override.freq_base) {
    if (!std::isfinite(*override.freq_base) || *override.freq_base <= 1) {
      fail_option("rope_freq_base", ErrorCode::kInvalidArgument,
                  "`rope_freq_base` {}: must be above 1", *override.freq_base);
    }
    rope.theta = *override.freq_base;
  }
  if (!override.scaling && !override.scale && !override.yarn_original_context) return;
  if (override.scale && !(*override.scale > 0 && *override.scale <= 1e6)) {
    fail_option("rope_scale", ErrorCode::kInvalidArgument,
                "`rope_scale` {}: must be above 0 and at most 1000000", *override.scale);
  }
  const bool has_bands = rope.scaling == RopeScaling::kLlama3 || !rope.factors.empty();
  if (!override.scaling && has_bands) {
    fail_option("rope_scale", ErrorCode::kInvalidArgument,
                "`rope_scale` with a model that has its own frequency factors: set `rope_scaling` "
                "to linear or yarn to replace them");
  }
  const int64_t trained =
      rope.original_context > 0 ? rope.original_context : config->context_length;
  rope.factor = overridden_factor(override, rope);
  const bool plain = rope.scaling == RopeScaling::kNone;
  rope.scaling = override.scaling.value_or(plain ? RopeScaling::kLinear : rope.scaling);
  rope.factors.clear();
  if (override.scaling || override.scale) rope.yarn_attention_factor = 0;
  rope.original_context = override.yarn_original_context.value_or(trained);
  if (rope.original_context < 1 || rope.original_context > kMaxContext) {
    fail_option("yarn_original_context", ErrorCode::kInvalidArgument,
                "`yarn_original_context` {}: must be from 1 to {}", rope.original_context,
                kMaxContext);
  }
  const double extended = static_cast<double>(rope.original_context) * rope.factor;
  if (extended < 1 || extended > static_cast<double>(kMaxContext)) {
    fail_option("rope_scale", ErrorCode::kInvalidArgument,
                "`rope_scale` {}: extends a context of {} beyond {}", rope.factor,
                rope.original_context, kMaxContext);
  }
  config->context_length = static_cast<int64_t>(extended);
}

}  // namespace tidal
