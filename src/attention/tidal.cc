// Position persistent sparse attention: a few layers select, the others read what was selected.
// Which layer does what is the LayerPlan's; this is Algorithm 1 of the paper and its variants.

#include <array>

#include "attention/planned_method.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 9> kKeys = {"full",  "select", "budget", "scope",  "pool",
                                                   "sinks", "recent", "own",    "correct"};

class TidalMethod final : public PlannedMethod {
 public:
  explicit TidalMethod(const MethodContext& context)
      : PlannedMethod("tidal", kKeys, context,
                      default_min_context(context.plan, context.row_bytes)) {}

  AttentionState make_state(const AttentionShape& shape) const override {
    AttentionState state(shape);
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
    return step;
  }
};

}  // namespace

std::shared_ptr<const AttentionMethod> make_tidal_method(const MethodContext& context) {
  validate(context.plan, context.heads);
  return std::make_shared<TidalMethod>(context);
}

}  // namespace tidal
