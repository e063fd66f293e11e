#include <algorithm>
#include <array>

#include "base/fail.h"
#include "base/quote.h"
#include "files/model_file.h"
#include "model/arch/architecture.h"

// The list of architectures: foo.cc has kFoo.
#define TIDAL_ARCHITECTURES(ARCHITECTURE) \
  ARCHITECTURE(Llama)                     \
  ARCHITECTURE(Qwen2)                     \
  ARCHITECTURE(Qwen3)

namespace tidal {

#define TIDAL_DECLARE(name) extern const Architecture k##name;
TIDAL_ARCHITECTURES(TIDAL_DECLARE)
#undef TIDAL_DECLARE

namespace {

#define TIDAL_ENTRY(name) &k##name,
constexpr auto kArchitectures =
    std::to_array<const Architecture*>({TIDAL_ARCHITECTURES(TIDAL_ENTRY)});
#undef TIDAL_ENTRY

std::string join(std::string_view separator, auto&& append_all) {
  std::string joined;
  append_all([&](std::string_view word) {
    if (!joined.empty()) joined += separator;
    joined += word;
  });
  return joined;
}

}  // namespace

const Architecture& architecture_of_gguf(const GgufFile& file) {
  const std::string_view name = file.require_string("general.architecture");
  for (const Architecture* architecture : kArchitectures) {
    if (architecture->name == name) return *architecture;
  }
  fail(ErrorCode::kUnsupported, "{}: general.architecture {} is not supported; supported are {}",
       file.path(), quote(name), join(", ", [](auto&& add) {
         for (const Architecture* architecture : kArchitectures) add(architecture->name);
       }));
}

const Architecture& architecture_of_hf(const JsonFields& json) {
  const std::string type = json.require_string("model_type");
  for (const Architecture* architecture : kArchitectures) {
    const auto& types = architecture->hf_model_types;
    if (std::find(types.begin(), types.end(), type) != types.end()) return *architecture;
  }
  fail(ErrorCode::kUnsupported, "{}: model_type {} is not supported; supported are {}",
       json.source(), quote(type), join(", ", [](auto&& add) {
         for (const Architecture* architecture : kArchitectures) {
           for (const std::string_view known : architecture->hf_model_types) add(known);
         }
       }));
}

void refuse_sliding_window(const JsonFields& json, bool on_by_default) {
  const bool absent = !json.has("sliding_window");
  const bool used = json.find_bool("use_sliding_window").value_or(on_by_default);
  if (used && (json.find_int("sliding_window") || (absent && on_by_default))) {
    fail(ErrorCode::kUnsupported,
         "{}: sliding-window attention (sliding_window) is not supported; models with "
         "\"sliding_window\": null are",
         json.source());
  }
  for (const std::string& type : json.find_strings("layer_types")) {
    if (type != "full_attention") {
      fail(ErrorCode::kUnsupported, "{}: layer_types: {} is not supported; supported is {}",
           json.source(), quote(type), "full_attention");
    }
  }
}

void refuse_true(const JsonFields& json, std::string_view key) {
  if (json.find_bool(key).value_or(false)) {
    fail(ErrorCode::kUnsupported, "{}: {} true is not supported for this model_type", json.source(),
         key);
  }
}

}  // namespace tidal
