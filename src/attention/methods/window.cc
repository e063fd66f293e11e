// Attention sinks and a recent window, in every layer (StreamingLLM): the first `sinks` rows and
// the last budget - sinks rows. Nothing is scored.

#include <array>
#include <numeric>

#include "attention/methods/planned_method.h"

namespace tidal {
namespace {

constexpr std::array<std::string_view, 3> kKeys = {"budget", "sinks", "correct"};

// One list serves all heads and layers.
struct WindowState final : MethodState {
  explicit WindowState(Picks list) : rows(std::move(list)) {}
  std::unique_ptr<MethodState> clone() const override {
    return std::make_unique<WindowState>(rows.clone());
  }

  Picks rows;
};

class WindowMethod final : public PlannedMethod {
 public:
  explicit WindowMethod(const MethodContext& context) : PlannedMethod("window", kKeys, context) {}

  AttentionState make_state(const AttentionShape& shape, PagePool& pool) const override {
    return {pool.memory(), std::make_unique<WindowState>(Picks(1, capacity(shape), pool.memory()))};
  }

  LayerStep plan_layer(int32_t /*layer*/, int64_t length, AttentionState& state) const override {
    const Picks& list = state.as<WindowState>().rows;
    const Selection& rows = list.host();
    const int64_t count = plan().budget_at(length);
    // The list depends only on its length and last row: all layers after the first find it ready.
    if (rows.counts[0] != count || rows.positions[count - 1] != length - 1) {
      const int64_t sinks = plan().sinks;
      std::iota(rows.positions, rows.positions + sinks, 0);
      std::iota(rows.positions + sinks, rows.positions + count,
                static_cast<int32_t>(length - (count - sinks)));
      rows.counts[0] = count;
      list.push();
    }
    return {ReadSelection{list.selection()}, {}};
  }
};

}  // namespace

std::shared_ptr<const AttentionMethod> make_window_method(const MethodContext& context) {
  MethodContext own = context;
  own.plan.recent = 0;
  validate(own.plan);
  return std::make_shared<WindowMethod>(own);
}

}  // namespace tidal
