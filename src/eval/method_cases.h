// The methods of a comparison: every method with every requested plan and budget.
#pragma once

#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "attention/method.h"
#include "model/model.h"
#include "tidal/options.h"

namespace tidal {

struct Comparison {
  std::vector<std::string> methods;  // empty: tidal, or those that plans name
  std::vector<std::string> plans;    // PLAN, or METHOD=PLAN
  std::vector<std::string> budgets;  // empty: the plan's
};

struct MethodCase {
  std::string plan_from;  // the plan as given, empty: the method's own
  std::string plan_sum;   // of a plan file, else empty
  std::string budget;     // as given, empty: the plan's
  std::shared_ptr<const AttentionMethod> method;

  std::string name() const { return std::string(method->name()); }
  std::string label() const;            // the method, and its plan if one was given
  nlohmann::ordered_json json() const;  // {"method", "plan", "plan_from", "plan_sum", "budget"}
};

// A plan without METHOD= applies to tidal if it takes part, otherwise to all. Duplicates are
// dropped. `common` has the options all methods share. Throws Error as method_for does.
std::vector<MethodCase> method_cases(const Comparison& comparison, const MethodOptions& common,
                                     const Model& model, const EngineOptions& engine);

}  // namespace tidal
