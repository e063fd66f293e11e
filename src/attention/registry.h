// The methods by name: full, tidal, quest, window, oracle.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "attention/method.h"
#include "tidal/options.h"

namespace tidal {

std::span<const std::string_view> method_names();

// Throws Error(kUnsupported) for an unknown name, Error(kInvalidArgument) for a bad plan, budget,
// correction stride or minimum context.
//
// Every method accepts any plan and uses the keys it knows: full none; window budget, sinks,
// correct; quest full, budget, page, correct; oracle full, budget, scope, pool, sinks, recent,
// correct. So one --plan serves a comparison. plan_line() of the result shows what is in force.
// row_bytes (K and V of a position in one layer) determines the default of --min-context;
// method_for() in runtime/model_options.h supplies it.
std::shared_ptr<const AttentionMethod> make_method(const MethodOptions& options, int32_t n_layers,
                                                   int32_t n_heads, int32_t n_kv_heads,
                                                   int64_t row_bytes);

// The method `full`, which needs no options.
std::shared_ptr<const AttentionMethod> full_attention(int32_t n_layers);

}  // namespace tidal
