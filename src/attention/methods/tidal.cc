// Position persistent sparse attention: a few layers select, the others read what was selected.
// Which layer does what is the LayerPlan's; this is Algorithm 1 of the paper and its variants.

#include <algorithm>
#include <array>

#include "attention/methods/planned_method.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 10> kKeys = {
    "full", "select", "budget", "scope", "pool", "sinks", "recent", "own", "rest", "correct"};

class TidalMethod final : public PlannedMethod {
 public:
  explicit TidalMethod(const MethodContext& context)
      : PlannedMethod("tidal", kKeys, context,
                      default_min_context(context.plan, context.row_bytes)) {
    const auto& layers = context.plan.layers;
    const auto first = std::find_if(layers.begin(), layers.end(), [](const LayerSpec& layer) {
      return layer.role == LayerRole::kSelect;
    });
    first_select_ = static_cast<int32_t>(first - layers.begin());
  }

  AttentionState make_state(const AttentionShape& shape, PagePool& pool) const override {
    AttentionState state(shape);
    if (plan().rest > 0) {
      state.sums.emplace(pool, SummarySpec{SummaryKind::kSums, plan().rest, plan().sinks});
    }
    const int32_t n_lists = list_count(plan().scope, shape.n_heads, shape.n_kv_heads);
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      if (spec(layer).role == LayerRole::kSelect) {
        state.add_selection(layer, n_lists, capacity(shape));
      }
    }
    return state;
  }

  LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const override {
    LayerStep step;
    const LayerSpec& own = spec(layer);
    if (own.role == LayerRole::kSelect) {
      step = select_rows(layer, length, state);
      step.read_picks = plan().own;
    } else if (own.role == LayerRole::kSparse) {
      step.read = state.selections[static_cast<size_t>(own.source)];
      if (!own.head_map.empty()) step.read.head_map = own.head_map.data();
    }
    if (takes_rest(layer)) {
      step.rest_from = plan().sinks;
      step.rest_to = length - std::max<int64_t>(plan().recent, 1);
    }
    return step;
  }

 private:
  // Every layer that reads picks but the first that makes them: in SmolLM2 the first layer looks at
  // tokens, not at places, and means of its rows do harm (docs/results/2026-11-24-fidelity.md).
  bool takes_rest(int32_t layer) const {
    if (plan().rest == 0 || layer == first_select_) return false;
    const LayerRole role = spec(layer).role;
    return role == LayerRole::kSparse || (role == LayerRole::kSelect && plan().own);
  }

  int32_t first_select_;
};

}  // namespace

std::shared_ptr<const AttentionMethod> make_tidal_method(const MethodContext& context) {
  validate(context.plan, context.heads);
  return std::make_shared<TidalMethod>(context);
}

}  // namespace tidal
