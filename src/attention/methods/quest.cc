// Quest: per page of rows, the element-wise minimum and maximum of K bound q·k from above; every
// query head of every layer except the full ones reads the budget / page pages with the largest
// bounds, always including the newest page.

#include <array>

#include "attention/methods/planned_method.h"
#include "base/fail.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 4> kKeys = {"full", "budget", "page", "correct"};

struct QuestState final : MethodState {
  QuestState(size_t n_layers, SequenceSummaries of_pages)
      : bounds(std::move(of_pages)), picks(n_layers) {}
  void truncate(int64_t length) override { bounds.truncate(length); }
  std::unique_ptr<MethodState> clone() const override {
    auto copy = std::make_unique<QuestState>(0, bounds.clone());
    copy->picks = tidal::clone(picks);
    return copy;
  }

  SequenceSummaries bounds;
  std::vector<Picks> picks;  // [n_layers]
};

class QuestMethod final : public PlannedMethod {
 public:
  explicit QuestMethod(const MethodContext& context) : PlannedMethod("quest", kKeys, context) {}

  AttentionState make_state(const AttentionShape& shape, PagePool& pool) const override {
    auto own =
        std::make_unique<QuestState>(static_cast<size_t>(shape.n_layers),
                                     SequenceSummaries(pool, {SummaryKind::kBounds, plan().page}));
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      if (is_full(layer)) continue;
      own->picks.at(static_cast<size_t>(layer)) = {shape.n_heads, capacity(shape), pool.memory()};
    }
    return {pool.memory(), std::move(own)};
  }

  LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const override {
    if (is_full(layer)) return {};
    auto& own = state.as<QuestState>();
    Picking pick;
    pick.scope = HeadScope::kQueryHead;
    pick.pooling = Pooling::kRaw;
    pick.budget = plan().budget_at(length) / plan().page;
    pick.picks = own.picks[static_cast<size_t>(layer)].selection();
    return {PickPagesAndRead{pick, &own.bounds}, {}};
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
