// The methods by name: full, tidal, quest, window, oracle.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "attention/method.h"

namespace tidal {

struct MethodOptions {
  std::string name = "tidal";
  std::string plan;               // preset, plan line or plan file; empty: the method's default
  std::string budget;             // empty: the plan's
  int64_t min_context = -1;       // below it everything is read; -1: the default crossover
  int32_t correct_every = -1;     // -1: the plan's
  std::string default_plan_file;  // the file beside the model, or empty
};

std::span<const std::string_view> method_names();

// Throws Error(kUnsupported) for an unknown name, Error(kInvalidArgument) for a bad plan or budget.
std::shared_ptr<const AttentionMethod> make_method(const MethodOptions& options, int32_t n_layers,
                                                   int32_t n_heads, int32_t n_kv_heads);

}  // namespace tidal
