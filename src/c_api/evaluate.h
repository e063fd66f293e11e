// Evaluations as the library gives them: with an engine's model, their results as JSON.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "model/model.h"
#include "tidal/options.h"

namespace tidal {

// False ends the work early.
using KeepGoing = std::function<bool(int64_t done, int64_t total)>;

// As tidal_eval_kld (tidal/tidal.h). Throws Error naming the method or lengths at fault.
std::string evaluate_divergence(const std::shared_ptr<const Model>& model,
                                const EngineOptions& engine, const MethodOptions& options,
                                std::string_view methods, std::span<const int32_t> tokens,
                                int64_t n_prompt, const KeepGoing& keep_going);

}  // namespace tidal
