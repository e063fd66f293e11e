#include "eval/method_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <string_view>
#include <utility>

#include "attention/registry.h"
#include "eval/model_sum.h"
#include "runtime/model_options.h"

namespace tidal {
namespace {

using Json = nlohmann::ordered_json;

bool is_plan_file(const std::string& plan) {
  return plan.find('/') != std::string::npos || plan.ends_with(".json");
}

// "quest=PLAN" applies only to quest.
struct GivenPlan {
  std::string method;  // empty: any
  std::string plan;
};

GivenPlan split_plan(const std::string& text) {
  for (const std::string_view name : method_names()) {
    if (text.starts_with(name) && text.size() > name.size() && text[name.size()] == '=') {
      return {std::string(name), text.substr(name.size() + 1)};
    }
  }
  return {"", text};
}

Json number_or_text(const std::string& text) {
  if (text.empty()) return nullptr;
  int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end ? Json(value) : Json(text);
}

std::vector<std::string> compared_methods(const Comparison& comparison,
                                          std::span<const GivenPlan> plans) {
  if (!comparison.methods.empty()) return comparison.methods;
  std::vector<std::string> names;
  for (const GivenPlan& plan : plans) {
    const std::string name = plan.method.empty() ? "tidal" : plan.method;
    if (std::find(names.begin(), names.end(), name) == names.end()) names.push_back(name);
  }
  return names.empty() ? std::vector<std::string>{"tidal"} : names;
}

// The plans given for a method, or "" for its default.
std::vector<std::string> plans_for(const std::string& method, bool takes_unnamed,
                                   std::span<const GivenPlan> plans) {
  std::vector<std::string> own;
  for (const GivenPlan& plan : plans) {
    if (plan.method == method || (plan.method.empty() && takes_unnamed)) own.push_back(plan.plan);
  }
  return own.empty() ? std::vector<std::string>{""} : own;
}

// The file the options' plan comes from, or "".
std::string plan_file(const MethodOptions& options) {
  const bool preset = options.name == "tidal" && (options.plan.empty() || options.plan == "tidal");
  if (preset && !options.default_plan_file.empty()) return options.default_plan_file;
  return is_plan_file(options.plan) ? options.plan : "";
}

MethodCase make_case(const MethodOptions& options, const Model& model,
                     const EngineOptions& engine) {
  MethodCase result;
  result.method = method_for(model, options, engine);
  if (options.name == "full") return result;
  result.plan_from = options.plan;
  result.budget = options.budget;
  const std::string file = plan_file(options);
  if (!file.empty()) result.plan_sum = file_sum(file);
  return result;
}

bool same(const MethodCase& a, const MethodCase& b) {
  return a.name() == b.name() && a.plan_sum == b.plan_sum &&
         a.method->plan_line() == b.method->plan_line();
}

}  // namespace

std::string MethodCase::label() const {
  return plan_from.empty() ? name() : fmt::format("{} {}", name(), plan_from);
}

Json MethodCase::json() const {
  return {{"method", method->name()},
          {"plan", method->plan_line()},
          {"plan_from", plan_from},
          {"plan_sum", plan_sum},
          {"budget", number_or_text(budget)}};
}

std::vector<MethodCase> method_cases(const Comparison& comparison, const MethodOptions& common,
                                     const Model& model, const EngineOptions& engine) {
  std::vector<GivenPlan> plans;
  for (const std::string& plan : comparison.plans) plans.push_back(split_plan(plan));
  const std::vector<std::string> budgets =
      comparison.budgets.empty() ? std::vector<std::string>{""} : comparison.budgets;
  const std::vector<std::string> names = compared_methods(comparison, plans);
  const bool tidal_takes_part = std::find(names.begin(), names.end(), "tidal") != names.end();
  MethodOptions options = common;
  options.default_plan_file = plan_file_beside(model.path());
  std::vector<MethodCase> cases;
  for (const std::string& name : names) {
    for (const std::string& plan : plans_for(name, !tidal_takes_part || name == "tidal", plans)) {
      for (const std::string& budget : budgets) {
        options.name = name;
        options.plan = plan;
        options.budget = budget;
        MethodCase next = make_case(options, model, engine);
        const bool known = std::any_of(cases.begin(), cases.end(),
                                       [&](const MethodCase& other) { return same(other, next); });
        if (!known) cases.push_back(std::move(next));
      }
    }
  }
  return cases;
}

}  // namespace tidal
