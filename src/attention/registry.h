// The methods by name: full, tidal, quest, window, oracle.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "attention/method.h"
#include "tidal/options.h"

namespace tidal {

std::span<const std::string_view> method_names();

// Throws Error(kUnsupported) for an unknown name, Error(kInvalidArgument) for a bad plan or budget.
std::shared_ptr<const AttentionMethod> make_method(const MethodOptions& options, int32_t n_layers,
                                                   int32_t n_heads, int32_t n_kv_heads);

}  // namespace tidal
