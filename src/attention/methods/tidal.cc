// Position persistent sparse attention: a few layers select, the others read what was selected. The
// LayerPlan says which layer does what; this is the paper's Algorithm 1 and its variants.

#include <algorithm>
#include <array>
#include <optional>

#include "attention/methods/planned_method.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 10> kKeys = {
    "full", "select", "budget", "scope", "pool", "sinks", "recent", "own", "rest", "correct"};

struct TidalState final : MethodState {
  explicit TidalState(size_t n_layers) : picks(n_layers) {}
  void truncate(int64_t length) override {
    if (sums) sums->truncate(length);
  }
  std::unique_ptr<MethodState> clone() const override {
    auto copy = std::make_unique<TidalState>(0);
    copy->picks = tidal::clone(picks);
    if (sums) copy->sums = sums->clone();
    return copy;
  }

  std::vector<Picks> picks;  // [n_layers] of those that select
  std::optional<SequenceSummaries> sums;
};

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
    auto own = std::make_unique<TidalState>(static_cast<size_t>(shape.n_layers));
    if (plan().rest > 0) {
      own->sums.emplace(pool, SummarySpec{SummaryKind::kSums, plan().rest, plan().sinks});
    }
    const int32_t n_lists = list_count(plan().scope, shape.n_heads, shape.n_kv_heads);
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      if (spec(layer).role == LayerRole::kSelect) {
        own->picks.at(static_cast<size_t>(layer)) = {n_lists, capacity(shape), pool.memory()};
      }
    }
    return {pool.memory(), std::move(own)};
  }

  LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const override {
    LayerStep step;
    const LayerSpec& of_layer = spec(layer);
    auto& own = state.as<TidalState>();
    if (of_layer.role == LayerRole::kSelect) {
      const Picking pick = pick_rows(length, own.picks[static_cast<size_t>(layer)]);
      if (plan().own) {
        step.read = PickAndRead{pick};
      } else {
        step.read = ReadAllAndPick{pick};
      }
    } else if (of_layer.role == LayerRole::kSparse) {
      Selection rows = own.picks[static_cast<size_t>(of_layer.source)].selection();
      if (!of_layer.head_map.empty()) rows.head_map = of_layer.head_map.data();
      step.read = ReadSelection{rows};
    }
    if (takes_rest(layer)) {
      step.rest = ReadMeans{&*own.sums, length - std::max<int64_t>(plan().recent, 1)};
    }
    return step;
  }

 private:
  // Every layer that reads picks, except the first to make them: in SmolLM2 the first layer looks
  // at tokens, not positions, and means of its rows do harm (docs/results/2026-11-24-fidelity.md).
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
