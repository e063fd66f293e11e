// Architecture: how one family of models is written down in files, as data and two small functions.
//
// What all families share is read by gguf_config.h and hf_config.h; an architecture adds what sets
// it apart and refuses what tidal does not compute. A new one is a file in this folder and a line
// in registry.cc.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "files/gguf.h"
#include "model/config.h"
#include "model/json_fields.h"

namespace tidal {

struct Architecture {
  std::string_view name;                             // general.architecture of GGUF
  std::span<const std::string_view> hf_model_types;  // model_type of config.json

  // Complete a Config that holds what is common. Throw Error naming file and key.
  void (*complete_gguf)(const GgufFile& file, Config* config);
  void (*complete_hf)(const JsonFields& json, Config* config);
};

// Throw Error(kUnsupported) that names the architecture and what there is.
const Architecture& architecture_of_gguf(const GgufFile& file);
const Architecture& architecture_of_hf(const JsonFields& json);

// For complete_hf: refuse attention over a sliding window, or biases that tidal has no place for.
void refuse_sliding_window(const JsonFields& json, bool on_by_default);
void refuse_true(const JsonFields& json, std::string_view key);

}  // namespace tidal
