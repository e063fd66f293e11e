// PlannedMethod: what the methods that follow a LayerPlan have in common, and how they are made.
//
// NAME.cc defines make_NAME_method(context), which takes what it heeds from the context's plan and
// throws Error(kInvalidArgument) when that makes no sense; registry.cc lists the names.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>

#include "attention/layer_plan.h"
#include "attention/method.h"
#include "attention/min_context.h"

namespace tidal {

struct MethodContext {
  LayerPlan plan;           // as asked for, budget and correction stride overridden
  int64_t min_context = 0;  // below it everything is read; -1: the method's default
  int64_t row_bytes = 0;    // of the cache: K and V of a position in one layer
  HeadCounts heads;
};

class PlannedMethod : public AttentionMethod {
 public:
  // `keys`: the keys of the plan line this method heeds; what they name outlives the method.
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
  // Positions a list can ever hold.
  int64_t capacity(const AttentionShape& shape) const {
    return std::min(plan_.budget_at(shape.max_length), shape.max_length);
  }
  // Scores every row and picks the plan's budget of them into the layer's selection.
  LayerStep select_rows(int32_t layer, int64_t length, AttentionState& state) const {
    LayerStep step;
    step.scores = LayerStep::Scores::kRows;
    step.top_k.scope = plan_.scope;
    step.top_k.pooling = plan_.pooling;
    step.top_k.budget = plan_.budget_at(length);
    step.top_k.sinks = plan_.sinks;
    step.top_k.recent = plan_.recent;
    step.picks = state.selections[static_cast<size_t>(layer)];
    return step;
  }

 private:
  std::string_view name_;
  std::span<const std::string_view> keys_;
  LayerPlan plan_;
  int64_t min_context_;
};

}  // namespace tidal
