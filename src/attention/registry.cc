#include "attention/registry.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "attention/methods/planned_method.h"
#include "base/fail.h"

// The list of methods: name and default plan. NAME.cc has make_NAME_method. All plans share one
// budget, so that methods are compared at equal cost.
#define TIDAL_METHODS(METHOD)          \
  METHOD(full, "paper")                \
  METHOD(tidal, "tidal")               \
  METHOD(quest, "budget:512")          \
  METHOD(window, "budget:512 sinks:4") \
  METHOD(oracle, "budget:512")

namespace tidal {

#define TIDAL_DECLARE(name, plan) \
  std::shared_ptr<const AttentionMethod> make_##name##_method(const MethodContext& context);
TIDAL_METHODS(TIDAL_DECLARE)
#undef TIDAL_DECLARE

namespace {

struct MethodEntry {
  std::string_view name;
  std::string_view default_plan;
  std::shared_ptr<const AttentionMethod> (*make)(const MethodContext& context);
};

#define TIDAL_ENTRY(name, plan) MethodEntry{#name, plan, make_##name##_method},
constexpr auto kMethods = std::to_array<MethodEntry>({TIDAL_METHODS(TIDAL_ENTRY)});
#undef TIDAL_ENTRY

#define TIDAL_NAME(name, plan) #name,
constexpr auto kNames = std::to_array<std::string_view>({TIDAL_METHODS(TIDAL_NAME)});
#undef TIDAL_NAME

const MethodEntry& find_method(std::string_view name) {
  const auto* found = std::find_if(kMethods.begin(), kMethods.end(),
                                   [&](const MethodEntry& entry) { return entry.name == name; });
  if (found == kMethods.end()) {
    fail_option("method", ErrorCode::kUnsupported, "unknown method '{}'; available: {}", name,
                fmt::join(kNames, ", "));
  }
  return *found;
}

// The preset `tidal` means the plan file beside the model, if there is one.
LayerPlan plan_for(const MethodOptions& options, std::string_view default_plan, int32_t n_layers,
                   HeadCounts heads) {
  const std::string_view text = options.plan.empty() ? default_plan : options.plan;
  if (text == "tidal" && !options.default_plan_file.empty()) {
    return read_plan_file(options.default_plan_file, n_layers, heads);
  }
  return resolve_plan(text, n_layers, heads);
}

}  // namespace

std::span<const std::string_view> method_names() { return kNames; }

std::shared_ptr<const AttentionMethod> make_method(const MethodOptions& options, int32_t n_layers,
                                                   int32_t n_heads, int32_t n_kv_heads,
                                                   int64_t row_bytes) {
  const MethodEntry& entry = find_method(options.name);
  MethodContext context;
  context.heads = {n_heads, n_kv_heads};
  context.plan = plan_for(options, entry.default_plan, n_layers, context.heads);
  if (!options.budget.empty()) context.plan.budget = parse_budget(options.budget);
  if (options.correct_every < -1) {
    fail_option("correct_every", ErrorCode::kInvalidArgument,
                "`correct_every` is {}, give a stride, or 0 for none", options.correct_every);
  }
  if (options.correct_every >= 0) context.plan.correct_every = options.correct_every;
  if (options.min_context < -1) {
    fail_option("min_context", ErrorCode::kInvalidArgument,
                "`min_context` is {}, give a length, or 0 for none", options.min_context);
  }
  context.min_context = options.min_context;
  context.row_bytes = row_bytes;
  return entry.make(context);
}

std::shared_ptr<const AttentionMethod> full_attention(int32_t n_layers) {
  MethodContext context;
  context.plan.layers.resize(static_cast<size_t>(n_layers));
  return make_full_method(context);
}

}  // namespace tidal
