#include "runtime/model_options.h"

#include <filesystem>

#include "attention/registry.h"
#include "base/available_memory.h"
#include "base/checked.h"
#include "base/fail.h"
#include "ops/factory/backend_factory.h"

namespace tidal {

RopeOverride rope_override(const RopeOptions& options) {
  RopeOverride override;
  if (options.scaling.has_value()) {
    if (*options.scaling == "none") {
      override.scaling = RopeScaling::kNone;
    } else if (*options.scaling == "linear") {
      override.scaling = RopeScaling::kLinear;
    } else if (*options.scaling == "yarn") {
      override.scaling = RopeScaling::kYarn;
    } else {
      fail_option("rope_scaling", ErrorCode::kInvalidArgument,
                  "`rope_scaling` is '{}', give none, linear or yarn", *options.scaling);
    }
  }
  override.scale = options.scale;
  override.freq_base = options.freq_base;
  override.yarn_original_context = options.yarn_original_context;
  return override;
}

DType cache_type(std::string_view name, std::string_view option) {
  if (name == "f16") return DType::kF16;
  if (name == "bf16") return DType::kBF16;
  if (name == "f32") return DType::kF32;
  if (name == "q8_0") return DType::kQ8_0;
  fail_option(option, ErrorCode::kUnsupported, "`{}` is '{}', give f16, bf16, f32 or q8_0", option,
              name);
}

size_t cache_bytes_per_token(const Config& config, const EngineOptions& options) {
  const int64_t width = int64_t{config.attention().n_kv_heads} * config.attention().head_dim;
  const auto row = [&](const std::string& name, const char* option) {
    return dtype_row_bytes(cache_type(name, option), width);
  };
  return static_cast<size_t>(config.n_layers()) *
         (row(options.k_cache_type, "k_cache_type") + row(options.v_cache_type, "v_cache_type"));
}

void require_cache_memory(const Config& config, const EngineOptions& options, int64_t n_tokens,
                          std::string_view remedy) {
  uint64_t bytes = 0;
  if (!checked_mul<uint64_t>(cache_bytes_per_token(config, options),
                             static_cast<uint64_t>(n_tokens), &bytes)) {
    bytes = UINT64_MAX;
  }
  require_memory(bytes, fmt::format("a KV cache of {} tokens", n_tokens), remedy);
}

WeightLayout weight_layout(const EngineOptions& options) {
  return make_backend(options.backend, 1)->weight_layout();
}

std::string plan_file_beside(const std::string& model_path) {
  namespace fs = std::filesystem;
  const fs::path path(model_path);
  std::error_code ignored;
  const fs::path plan = fs::is_directory(path, ignored)
                            ? path / "plan.json"
                            : fs::path(path).replace_extension("plan.json");
  return fs::is_regular_file(plan, ignored) ? plan.string() : std::string();
}

std::shared_ptr<const AttentionMethod> method_for(const Model& model, MethodOptions options,
                                                  size_t cache_bytes_per_token) {
  const Config& config = model.config();
  if (options.default_plan_file.empty()) options.default_plan_file = plan_file_beside(model.path());
  return make_method(options, config.n_layers(), config.attention().n_heads,
                     config.attention().n_kv_heads,
                     static_cast<int64_t>(cache_bytes_per_token) / config.n_layers());
}

std::shared_ptr<const AttentionMethod> method_for(const Model& model, const MethodOptions& options,
                                                  const EngineOptions& engine) {
  return method_for(model, options, cache_bytes_per_token(model.config(), engine));
}

}  // namespace tidal
