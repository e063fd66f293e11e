// PlannedMethod: what methods that follow a LayerPlan have in common, and how they are made.
//
// NAME.cc defines make_NAME_method(context), which uses the keys it knows of the context's plan and
// throws Error(kInvalidArgument) if they make no sense; registry.cc lists the names.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "attention/layer_plan.h"
#include "attention/method.h"
#include "attention/min_context.h"
#include "attention/picks.h"

namespace tidal {

struct MethodContext {
  LayerPlan plan;           // as requested, with budget and correction stride overridden
  int64_t min_context = 0;  // below it everything is read; -1: the method's default
  int64_t row_bytes = 0;    // of the cache: K and V of a position in one layer
  HeadCounts heads;
};

// The picks of every layer: empty for layers that make none.
inline std::vector<Picks> clone(const std::vector<Picks>& layers) {
  std::vector<Picks> copy;
  copy.reserve(layers.size());
  for (const Picks& layer : layers) copy.push_back(layer.clone());
  return copy;
}

class PlannedMethod : public AttentionMethod {
 public:
  // `keys`: the plan line keys this method uses; their names outlive the method.
  PlannedMethod(std::string_view name, std::span<const std::string_view> keys,
                const MethodContext& context, int64_t min_context = kDefaultMinContext)
      : name_(name),
        keys_(keys),
        plan_(context.plan),
        min_context_(context.min_context < 0 ? min_context : context.min_context) {}

  std::string_view name() const override { return name_; }
  std::string plan_line() const override { return print_plan_line(plan_, keys_); }
  int32_t correct_every() const override { return plan_.correct_every; }
  bool dense(int64_t length) const override {
    return length < min_context_ || length <= plan_.budget_at(length);
  }

 protected:
  const LayerPlan& plan() const { return plan_; }
  const LayerSpec& spec(int32_t layer) const { return plan_.layers[static_cast<size_t>(layer)]; }
  bool is_full(int32_t layer) const { return spec(layer).role == LayerRole::kFull; }
  // The most positions a list can ever hold.
  int64_t capacity(const AttentionShape& shape) const {
    return std::min(plan_.budget_at(shape.max_length), shape.max_length);
  }
  // The plan's budget, in rows.
  Picking pick_rows(int64_t length, const Picks& into) const {
    return {plan_.scope, plan_.pooling, plan_.budget_at(length),
            plan_.sinks, plan_.recent,  into.selection()};
  }

 private:
  std::string_view name_;
  std::span<const std::string_view> keys_;
  LayerPlan plan_;
  int64_t min_context_;
};

}  // namespace tidal
