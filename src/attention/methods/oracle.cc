// The oracle: every layer except the full ones scores all rows and reads its own top K. No method
// that reads K rows can pick better by score; it saves nothing (all of K is read first) and serves
// as an upper bound for comparison.

#include <array>

#include "attention/methods/planned_method.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 7> kKeys = {"full",  "budget", "scope",  "pool",
                                                   "sinks", "recent", "correct"};

// Kept per layer, so that an evaluation can compare the layers' picks after a step.
struct OracleState final : MethodState {
  explicit OracleState(size_t n_layers) : picks(n_layers) {}
  std::unique_ptr<MethodState> clone() const override {
    auto copy = std::make_unique<OracleState>(0);
    copy->picks = tidal::clone(picks);
    return copy;
  }

  std::vector<Picks> picks;  // [n_layers]
};

class OracleMethod final : public PlannedMethod {
 public:
  explicit OracleMethod(const MethodContext& context) : PlannedMethod("oracle", kKeys, context) {}

  AttentionState make_state(const AttentionShape& shape, PagePool& pool) const override {
    auto own = std::make_unique<OracleState>(static_cast<size_t>(shape.n_layers));
    const int32_t n_lists = list_count(plan().scope, shape.n_heads, shape.n_kv_heads);
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      if (is_full(layer)) continue;
      own->picks.at(static_cast<size_t>(layer)) = {n_lists, capacity(shape), pool.memory()};
    }
    return {pool.memory(), std::move(own)};
  }

  LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const override {
    if (is_full(layer)) return {};
    const auto& own = state.as<OracleState>();
    return {PickAndRead{pick_rows(length, own.picks[static_cast<size_t>(layer)])}, {}};
  }
};

}  // namespace

std::shared_ptr<const AttentionMethod> make_oracle_method(const MethodContext& context) {
  validate(context.plan);
  return std::make_shared<OracleMethod>(context);
}

}  // namespace tidal
