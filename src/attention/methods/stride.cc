// Rows at equal distances, the newest among them, in every layer. Nothing is scored.

#include <array>

#include "attention/methods/planned_method.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 2> kKeys = {"budget", "correct"};

struct StrideState final : MethodState {
  explicit StrideState(Picks list) : rows(std::move(list)) {}
  std::unique_ptr<MethodState> clone() const override {
    return std::make_unique<StrideState>(rows.clone());
  }

  Picks rows;
};

class StrideMethod final : public PlannedMethod {
 public:
  explicit StrideMethod(const MethodContext& context) : PlannedMethod("stride", kKeys, context) {}

  AttentionState make_state(const AttentionShape& shape, PagePool& /*pool*/) const override {
    return AttentionState(std::make_unique<StrideState>(Picks(1, capacity(shape))));
  }

  LayerStep plan_layer(int32_t /*layer*/, int64_t length, AttentionState& state) const override {
    const Selection& rows = state.as<StrideState>().rows.selection();
    const int64_t count = plan().budget_at(length);
    for (int64_t i = 0; i < count; ++i) {
      rows.positions[i] = static_cast<int32_t>((i + 1) * length / count - 1);
    }
    rows.counts[0] = count;
    return {ReadSelection{rows}, {}};
  }
};

}  // namespace

std::shared_ptr<const AttentionMethod> make_stride_method(const MethodContext& context) {
  MethodContext own = context;
  own.plan.sinks = own.plan.recent = 0;
  validate(own.plan);
  return std::make_shared<StrideMethod>(own);
}

}  // namespace tidal
