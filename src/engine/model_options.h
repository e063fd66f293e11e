// The options of a model as the engine's and the evaluation's front ends share them.
#pragma once

#include <string>
#include <string_view>

#include "model/model.h"
#include "tensor/dtype.h"
#include "tidal/options.h"

namespace tidal {

RopeOverride rope_override(const RopeOptions& options);  // throws Error naming the flag
DType cache_type(std::string_view name, std::string_view flag);

// Where a model's own plan would lie: model.gguf -> model.plan.json, a folder -> its plan.json.
// Empty when there is no such file.
std::string plan_file_beside(const std::string& model_path);

}  // namespace tidal
