// Quest: per page of rows the element-wise minimum and maximum of K bound q·k from above; every
// query head of every layer but the full ones reads the budget / page pages with the largest
// bounds. The newest page is always among them.

#include <array>

#include "attention/methods/planned_method.h"
#include "base/fail.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 4> kKeys = {"full", "budget", "page", "correct"};

class QuestMethod final : public PlannedMethod {
 public:
  explicit QuestMethod(const MethodContext& context) : PlannedMethod("quest", kKeys, context) {}

  AttentionState make_state(const AttentionShape& shape, PagePool& pool) const override {
    AttentionState state(shape);
    state.bounds.emplace(pool, SummarySpec{SummaryKind::kBounds, plan().page});
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      if (is_full(layer)) continue;
      state.add_selection(layer, shape.n_heads, capacity(shape));
    }
    return state;
  }

  LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const override {
    LayerStep step;
    if (is_full(layer)) return step;
    step.scores = LayerStep::Scores::kBounds;
    step.top_k.scope = HeadScope::kQueryHead;
    step.top_k.pooling = Pooling::kRaw;
    step.top_k.budget = plan().budget_at(length) / plan().page;
    step.top_k.candidate_rows = plan().page;
    step.picks = state.selections[static_cast<size_t>(layer)];
    step.read_picks = true;
    return step;
  }
};

}  // namespace

std::shared_ptr<const AttentionMethod> make_quest_method(const MethodContext& context) {
  MethodContext own = context;
  LayerPlan& plan = own.plan;
  plan.sinks = 0;
  plan.recent = 0;
  validate(plan);
  if (plan.budget.share_millionths > 0 && plan.budget.tokens == 0) plan.budget.tokens = plan.page;
  if (plan.budget.tokens < plan.page) {
    fail(ErrorCode::kInvalidArgument,
         "plan: budget:{} is below one page of {} rows, raise the budget or lower page",
         print_budget(plan.budget), plan.page);
  }
  return std::make_shared<QuestMethod>(own);
}

}  // namespace tidal
