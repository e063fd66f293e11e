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
// correction stride or minimal context.
//
// Every method accepts any plan and uses the keys it knows: full none; window budget, sinks,
// correct; quest full, budget, page, correct; oracle full, budget, scope, pool, sinks, recent,
// correct. So one --plan serves a comparison. plan_line() of the result says what is in force.
// row_bytes (K and V of a position in one layer) decides the default of --min-context;
// runtime/model_options.h has method_for(), which knows them.
std::shared_ptr<const AttentionMethod> make_method(const MethodOptions& options, int32_t n_layers,
                                                   int32_t n_heads, int32_t n_kv_heads,
                                                   int64_t row_bytes);

// The method `full`, which needs no options.
std::shared_ptr<const AttentionMethod> full_attention(int32_t n_layers);

}  // namespace tidal
