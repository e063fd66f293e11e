// Architecture: how files describe one family of models, as data and two small functions.
//
// What all families share is read by gguf_config.h and hf_config.h; an architecture adds what is
// specific to it and refuses what tidal cannot compute. A new one is a file in this folder and a
// line in registry.cc.
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

  // Complete a Config that holds the common part. Throw Error naming file and key.
  void (*complete_gguf)(const GgufFile& file, Config* config);
  void (*complete_hf)(const JsonFields& json, Config* config);
};

// Throw Error(kUnsupported) naming the architecture and the supported ones.
const Architecture& architecture_of_gguf(const GgufFile& file);
const Architecture& architecture_of_hf(const JsonFields& json);

// For complete_hf: refuse sliding-window attention, or biases tidal does not support.
void refuse_sliding_window(const JsonFields& json, bool on_by_default);
void refuse_true(const JsonFields& json, std::string_view key);

}  // namespace tidal
