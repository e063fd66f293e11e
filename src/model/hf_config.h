// Config from the config.json of a Hugging Face checkpoint, in the spellings of transformers 4
// (rope_theta, rope_scaling with `type` or `rope_type`) and 5 (rope_parameters).
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>

#include "model/config.h"

namespace tidal {

// Throws Error(kCorrupt | kUnsupported) naming source and key. The result has passed validate().
Config read_hf_config(const nlohmann::json& json, const std::string& source);

}  // namespace tidal
