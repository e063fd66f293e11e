// Full attention: every layer reads every row. The baseline for all other methods.

#include <fmt/format.h>

#include "attention/methods/planned_method.h"

namespace tidal {
namespace {

class FullMethod final : public AttentionMethod {
 public:
  explicit FullMethod(int32_t n_layers) : n_layers_(n_layers) {}

  std::string_view name() const override { return "full"; }
  std::string plan_line() const override {
    return n_layers_ > 1 ? fmt::format("full:0-{}", n_layers_ - 1) : "full:0";
  }
  AttentionState make_state(const AttentionShape& /*shape*/, PagePool& pool) const override {
    return {pool.memory(), nullptr};
  }
  bool dense(int64_t /*length*/) const override { return true; }
  LayerStep plan_layer(int32_t /*layer*/, int64_t /*length*/,
                       AttentionState& /*state*/) const override {
    return {};
  }

 private:
  int32_t n_layers_;
};

}  // namespace

std::shared_ptr<const AttentionMethod> make_full_method(const MethodContext& context) {
  return std::make_shared<FullMethod>(context.plan.n_layers());
}

}  // namespace tidal
