// The model inside an engine, for what runs beside its requests with the same weights.
#pragma once

#include <memory>

#include "model/model.h"
#include "tidal/engine.h"

namespace tidal {

std::shared_ptr<const Model> model_of(const Engine& engine);

}  // namespace tidal
