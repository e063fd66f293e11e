// What is inside an engine: the model, for what runs beside its requests with the same weights, and
// the runtime, for tests.
#pragma once

#include <memory>

#include "model/model.h"
#include "runtime/runtime.h"
#include "tidal/engine.h"

namespace tidal {

std::shared_ptr<const Model> model_of(const Engine& engine);
Runtime& runtime_of(Engine& engine);

}  // namespace tidal
