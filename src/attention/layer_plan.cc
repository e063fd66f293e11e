#include "attention/layer_plan.h"

#include <algorithm>

#include "base/fail.h"

namespace tidal {
namespace {

constexpr int64_t kMillion = 1'000'000;

// Roles from lists of layers; entries of `select` that do not ascend or fall on a full layer are
// dropped.
LayerPlan plan_of(int32_t n_layers, std::initializer_list<int64_t> select) {
  LayerPlan plan;
  plan.layers.resize(static_cast<size_t>(n_layers));
  int32_t source = -1;
  auto next = select.begin();
  for (int32_t layer = 2; layer < n_layers; ++layer) {
    LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
    while (next != select.end() && *next < layer) ++next;
    if (next != select.end() && *next == layer) {
      spec.role = LayerRole::kSelect;
      source = layer;
    } else {
      spec.role = LayerRole::kSparse;
      spec.source = source;
    }
  }
  return plan;
}

// `hundredths` of the layers, rounded to the nearest layer, halves up.
int64_t layer_at(int32_t n_layers, int64_t hundredths) {
  return (hundredths * n_layers + 50) / 100;
}

void validate_sparse(const LayerPlan& plan, int32_t layer) {
  const LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
  if (spec.source < 0) {
    fail(ErrorCode::kInvalidArgument,
         "plan: select: layer {} is sparse and no selecting layer is before it, make it full or "
         "select",
         layer);
  }
  if (spec.source >= layer ||
      plan.layers[static_cast<size_t>(spec.source)].role != LayerRole::kSelect) {
    fail(ErrorCode::kInvalidArgument,
         "plan: source: layer {} reads layer {}, which is not a selecting layer before it", layer,
         spec.source);
  }
}

}  // namespace

int64_t Budget::at(int64_t length) const {
  if (share_millionths == 0) return tokens;
  // Split to keep the products small: exact for any length.
  const int64_t share = length / kMillion * share_millionths +
                        (length % kMillion * share_millionths + kMillion - 1) / kMillion;
  return std::max(tokens, share);
}

int64_t LayerPlan::budget_at(int64_t length) const {
  return std::max(budget.at(length), sinks + recent + 1);
}

LayerPlan preset_plan(std::string_view name, int32_t n_layers) {
  if (name == "paper") {
    return plan_of(n_layers, {2, n_layers == 32 ? 13 : layer_at(n_layers, 40)});
  }
  if (name == "tidal") {
    LayerPlan plan = plan_of(n_layers, {2, layer_at(n_layers, 27), layer_at(n_layers, 47),
                                        layer_at(n_layers, 57), layer_at(n_layers, 67)});
    plan.budget.tokens = 512;
    plan.scope = HeadScope::kAll;
    plan.pooling = Pooling::kSoftmax;
    plan.sinks = 4;
    plan.recent = 16;
    plan.own = true;
    return plan;
  }
  fail(ErrorCode::kNotFound, "unknown plan '{}'; presets: paper, tidal", name);
}

void validate(const LayerPlan& plan) {
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    const LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
    if (spec.role == LayerRole::kSparse) {
      validate_sparse(plan, layer);
    } else if (spec.source >= 0 || !spec.head_map.empty()) {
      fail(ErrorCode::kInvalidArgument,
           "plan: layer {} is not sparse, so it has no source and no head map", layer);
    }
  }
  const auto at_least = [](std::string_view key, int64_t value, int64_t least) {
    if (value < least) {
      fail(ErrorCode::kInvalidArgument, "plan: {}:{} is below {}", key, value, least);
    }
  };
  at_least("sinks", plan.sinks, 0);
  at_least("recent", plan.recent, 0);
  at_least("page", plan.page, 1);
  at_least("correct", plan.correct_every, 0);
  const Budget& budget = plan.budget;
  if (budget.share_millionths < 0 || budget.share_millionths > kMillion) {
    fail(ErrorCode::kInvalidArgument, "plan: budget: a share must be above 0% and at most 100%");
  }
  // The minimum for a share that sets none itself.
  const int64_t least = plan.sinks + plan.recent + 1;
  if (budget.tokens < least && !(budget.share_millionths > 0 && budget.tokens == 0)) {
    fail(ErrorCode::kInvalidArgument,
         "plan: budget:{} is below sinks + recent + 1 = {} tokens, raise the budget or lower sinks "
         "or recent",
         print_budget(budget), least);
  }
}

void validate(const LayerPlan& plan, HeadCounts heads) {
  validate(plan);
  const int32_t n_lists = list_count(plan.scope, heads.n_heads, heads.n_kv_heads);
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    const std::vector<int32_t>& map = plan.layers[static_cast<size_t>(layer)].head_map;
    if (map.empty()) continue;
    if (static_cast<int32_t>(map.size()) != heads.n_heads) {
      fail(ErrorCode::kInvalidArgument,
           "plan: head_map of layer {} has {} entries, but the model has {} query heads", layer,
           map.size(), heads.n_heads);
    }
    for (const int32_t list : map) {
      if (list < 0 || list >= n_lists) {
        fail(ErrorCode::kInvalidArgument,
             "plan: head_map of layer {} names list {}; a selecting layer makes lists 0 to {}",
             layer, list, n_lists - 1);
      }
    }
  }
}

}  // namespace tidal
