// The named shapes of Model::random(): exactly the sizes of the models they are named after.
#pragma once

#include <string>

#include "model/config.h"

namespace tidal {

// Throws Error(kInvalidArgument) listing the names.
Config shape_config(const std::string& name);

// All names, for help texts: "smollm2-135m, llama-3.2-1b, ...".
std::string shape_names();

}  // namespace tidal
