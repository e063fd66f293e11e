// The plan line: one table of keys serves parsing and printing.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>
#include <optional>

#include "attention/layer_plan.h"
#include "base/fail.h"

namespace tidal {
namespace {

// What a line says before the roles are settled.
struct Draft {
  LayerPlan plan;
  std::optional<std::vector<int32_t>> full;
  std::optional<std::vector<int32_t>> select;
};

struct PlanKey {
  std::string_view name;
  void (*parse)(std::string_view value, Draft& draft);
  std::string (*print)(const LayerPlan& plan);
};

// The whole text as a number in [least, 2^31).
std::optional<int64_t> parse_number(std::string_view text, int64_t least = 0) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || text.front() == '-' ||
      value < least || value > std::numeric_limits<int32_t>::max()) {
    return std::nullopt;
  }
  return value;
}

int64_t number(std::string_view key, std::string_view text, int64_t least) {
  const std::optional<int64_t> value = parse_number(text, least);
  if (!value) {
    fail(ErrorCode::kInvalidArgument, "plan: {}:{} is not a whole number of at least {}", key, text,
         least);
  }
  return *value;
}

// The index of a value among `names`.
template <typename T, size_t n>
T choice(std::string_view key, std::string_view text,
         const std::array<std::string_view, n>& names) {
  const auto found = std::find(names.begin(), names.end(), text);
  if (found == names.end()) {
    fail(ErrorCode::kInvalidArgument, "plan: {}:{} is unknown, use {}", key, text,
         fmt::join(names, " or "));
  }
  return static_cast<T>(found - names.begin());
}

constexpr std::array<std::string_view, 3> kScopes = {"q", "kv", "all"};
constexpr std::array<std::string_view, 2> kPoolings = {"raw", "softmax"};
constexpr std::array<std::string_view, 2> kSwitch = {"off", "on"};

// `0-1,5` or `none`, each layer once, ascending.
std::vector<int32_t> parse_layers(std::string_view key, std::string_view text, int32_t n_layers) {
  std::vector<int32_t> layers;
  if (text == "none") return layers;
  std::string_view rest = text;
  while (true) {
    const std::string_view item = rest.substr(0, rest.find(','));
    const size_t dash = item.find('-');
    const std::optional<int64_t> first = parse_number(item.substr(0, dash));
    const std::optional<int64_t> last =
        dash == item.npos ? first : parse_number(item.substr(dash + 1));
    if (!first || !last) {
      fail(ErrorCode::kInvalidArgument,
           "plan: {}:{} is not a list of layers, write it like 0-1,5 or none", key, text);
    }
    if (*first > *last) {
      fail(ErrorCode::kInvalidArgument, "plan: {}: the range {} is reversed", key, item);
    }
    if (*last >= n_layers) {
      fail(ErrorCode::kInvalidArgument,
           "plan: {}: layer {} is out of range, the model has {} layers", key, *last, n_layers);
    }
    for (int64_t layer = *first; layer <= *last; ++layer) {
      layers.push_back(static_cast<int32_t>(layer));
    }
    if (item.size() == rest.size()) break;
    rest.remove_prefix(item.size() + 1);
  }
  std::sort(layers.begin(), layers.end());
  const auto repeated = std::adjacent_find(layers.begin(), layers.end());
  if (repeated != layers.end()) {
    fail(ErrorCode::kInvalidArgument, "plan: {}: layer {} is named twice", key, *repeated);
  }
  return layers;
}

std::string print_layers(const LayerPlan& plan, LayerRole role) {
  std::string text;
  const int32_t n = plan.n_layers();
  const auto has_role = [&](int32_t layer) {
    return layer < n && plan.layers[static_cast<size_t>(layer)].role == role;
  };
  for (int32_t first = 0; first < n; ++first) {
    if (!has_role(first)) continue;
    int32_t last = first;
    while (has_role(last + 1)) ++last;
    if (!text.empty()) text += ',';
    text += first == last ? fmt::format("{}", first) : fmt::format("{}-{}", first, last);
    first = last;
  }
  return text.empty() ? "none" : text;
}

// In the order they are printed.
constexpr PlanKey kKeys[] = {
    {"full",
     [](std::string_view value, Draft& draft) {
       draft.full = parse_layers("full", value, draft.plan.n_layers());
     },
     [](const LayerPlan& plan) { return print_layers(plan, LayerRole::kFull); }},
    {"select",
     [](std::string_view value, Draft& draft) {
       draft.select = parse_layers("select", value, draft.plan.n_layers());
     },
     [](const LayerPlan& plan) { return print_layers(plan, LayerRole::kSelect); }},
    {"budget",
     [](std::string_view value, Draft& draft) { draft.plan.budget = parse_budget(value); },
     [](const LayerPlan& plan) { return print_budget(plan.budget); }},
    {"scope",
     [](std::string_view value, Draft& draft) {
       draft.plan.scope = choice<HeadScope>("scope", value, kScopes);
     },
     [](const LayerPlan& plan) { return std::string(kScopes[static_cast<size_t>(plan.scope)]); }},
    {"pool",
     [](std::string_view value, Draft& draft) {
       draft.plan.pooling = choice<Pooling>("pool", value, kPoolings);
     },
     [](const LayerPlan& plan) {
       return std::string(kPoolings[static_cast<size_t>(plan.pooling)]);
     }},
    {"sinks",
     [](std::string_view value, Draft& draft) { draft.plan.sinks = number("sinks", value, 0); },
     [](const LayerPlan& plan) { return fmt::format("{}", plan.sinks); }},
    {"recent",
     [](std::string_view value, Draft& draft) { draft.plan.recent = number("recent", value, 0); },
     [](const LayerPlan& plan) { return fmt::format("{}", plan.recent); }},
    {"own",
     [](std::string_view value, Draft& draft) {
       draft.plan.own = choice<bool>("own", value, kSwitch);
     },
     [](const LayerPlan& plan) { return std::string(kSwitch[plan.own ? 1 : 0]); }},
    {"page",
     [](std::string_view value, Draft& draft) {
       draft.plan.page = static_cast<int32_t>(number("page", value, 1));
     },
     [](const LayerPlan& plan) { return fmt::format("{}", plan.page); }},
    {"rest",
     [](std::string_view value, Draft& draft) {
       draft.plan.rest = static_cast<int32_t>(number("rest", value, 0));
     },
     [](const LayerPlan& plan) { return fmt::format("{}", plan.rest); }},
    {"correct",
     [](std::string_view value, Draft& draft) {
       draft.plan.correct_every = static_cast<int32_t>(number("correct", value, 0));
     },
     [](const LayerPlan& plan) { return fmt::format("{}", plan.correct_every); }},
};

const PlanKey& find_key(std::string_view name) {
  const auto* found = std::find_if(std::begin(kKeys), std::end(kKeys),
                                   [&](const PlanKey& key) { return key.name == name; });
  if (found == std::end(kKeys)) {
    std::string names;
    for (const PlanKey& key : kKeys) names += fmt::format(" {}", key.name);
    fail(ErrorCode::kInvalidArgument, "plan: unknown key '{}'; keys:{}", name, names);
  }
  return *found;
}

// The selecting layers if only `full` is given: paper's, with the first moved to the first layer
// that is not full.
std::vector<int32_t> select_around(const std::vector<int32_t>& full, const LayerPlan& paper) {
  int32_t first = 0;
  for (const int32_t layer : full) first += layer == first ? 1 : 0;
  int32_t last = paper.n_layers() - 1;
  while (last > first && paper.layers[static_cast<size_t>(last)].role != LayerRole::kSelect) --last;
  std::vector<int32_t> select;
  if (first < paper.n_layers()) select.push_back(first);
  if (last > first && !std::binary_search(full.begin(), full.end(), last)) select.push_back(last);
  return select;
}

std::vector<int32_t> layers_of(const LayerPlan& plan, LayerRole role) {
  std::vector<int32_t> layers;
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    if (plan.layers[static_cast<size_t>(layer)].role == role) layers.push_back(layer);
  }
  return layers;
}

// Settles the roles and gives every sparse layer its source. draft.plan holds paper's layers.
void settle_layers(Draft& draft) {
  LayerPlan& plan = draft.plan;
  if (!draft.select) {
    draft.select =
        draft.full ? select_around(*draft.full, plan) : layers_of(plan, LayerRole::kSelect);
  }
  const std::vector<int32_t> full = draft.full ? *draft.full : layers_of(plan, LayerRole::kFull);
  for (LayerSpec& spec : plan.layers) spec = {LayerRole::kSparse, -1, {}};
  for (const int32_t layer : full) plan.layers[static_cast<size_t>(layer)].role = LayerRole::kFull;
  for (const int32_t layer : *draft.select) {
    LayerRole& role = plan.layers[static_cast<size_t>(layer)].role;
    if (role == LayerRole::kFull) {
      fail(ErrorCode::kInvalidArgument, "plan: select: layer {} is already full{}", layer,
           draft.full ? "" : ", say which layers are with full:");
    }
    role = LayerRole::kSelect;
  }
  int32_t source = -1;
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
    if (spec.role == LayerRole::kSelect) source = layer;
    if (spec.role == LayerRole::kSparse) spec.source = source;
  }
}

// `10` or `12.5` as millionths of the whole.
std::optional<int32_t> parse_percent(std::string_view text) {
  const size_t point = text.find('.');
  const std::string_view decimals = point == text.npos ? "0" : text.substr(point + 1);
  if (decimals.empty() || decimals.size() > 4) return std::nullopt;
  const std::optional<int64_t> whole = parse_number(text.substr(0, point));
  const std::optional<int64_t> part = parse_number(fmt::format("{:0<4}", decimals));
  if (!whole || !part || *whole > 100) return std::nullopt;
  const int64_t millionths = *whole * 10'000 + *part;
  if (millionths < 1 || millionths > 1'000'000) return std::nullopt;
  return static_cast<int32_t>(millionths);
}

}  // namespace

Budget parse_budget(std::string_view text) {
  Budget budget;
  const size_t percent = text.find('%');
  const std::string_view floor = percent == text.npos ? text : text.substr(percent + 1);
  std::optional<int64_t> tokens;
  std::optional<int32_t> share = 0;
  if (percent == text.npos) {
    tokens = parse_number(floor, 1);
  } else {
    share = parse_percent(text.substr(0, percent));
    if (floor.empty()) tokens = 0;
    if (floor.starts_with("min")) tokens = parse_number(floor.substr(3), 1);
  }
  if (!tokens || !share) {
    fail(ErrorCode::kInvalidArgument,
         "budget:{} is neither a number of tokens (512) nor a share of the context (10%, or "
         "10%min64 for at least 64 tokens)",
         text);
  }
  budget.tokens = *tokens;
  budget.share_millionths = *share;
  return budget;
}

std::string print_budget(const Budget& budget) {
  if (budget.share_millionths == 0) return fmt::format("{}", budget.tokens);
  std::string text = fmt::format("{}", budget.share_millionths / 10'000);
  if (const int32_t part = budget.share_millionths % 10'000; part != 0) {
    text += fmt::format(".{:04}", part);
    text.erase(text.find_last_not_of('0') + 1);
  }
  text += '%';
  if (budget.tokens > 0) text += fmt::format("min{}", budget.tokens);
  return text;
}

LayerPlan parse_plan_line(std::string_view line, int32_t n_layers) {
  constexpr std::string_view kBlanks = " \t\r\n";
  Draft draft{preset_plan("paper", n_layers), {}, {}};
  std::vector<std::string_view> seen;
  for (size_t at = 0; (at = line.find_first_not_of(kBlanks, at)) != line.npos;) {
    const std::string_view entry = line.substr(at, line.find_first_of(kBlanks, at) - at);
    at += entry.size();
    const size_t colon = entry.find(':');
    const PlanKey& key = find_key(entry.substr(0, colon));
    if (colon == entry.npos || colon + 1 == entry.size()) {
      fail(ErrorCode::kInvalidArgument, "plan: '{}' has no value, write {}:VALUE", entry, key.name);
    }
    if (std::find(seen.begin(), seen.end(), key.name) != seen.end()) {
      fail(ErrorCode::kInvalidArgument, "plan: {} is given twice", key.name);
    }
    seen.push_back(key.name);
    key.parse(entry.substr(colon + 1), draft);
  }
  settle_layers(draft);
  validate(draft.plan);
  return std::move(draft.plan);
}

std::string print_plan_line(const LayerPlan& plan, std::span<const std::string_view> keys) {
  std::string line;
  for (const PlanKey& key : kKeys) {
    if (std::find(keys.begin(), keys.end(), key.name) == keys.end()) continue;
    if (key.name == "rest" && plan.rest == 0) continue;
    line += fmt::format("{}{}:{}", line.empty() ? "" : " ", key.name, key.print(plan));
  }
  return line;
}

std::string print_plan_line(const LayerPlan& plan) {
  std::vector<std::string_view> keys;
  for (const PlanKey& key : kKeys) {
    if (key.name != "page" || plan.page != 16) keys.push_back(key.name);
  }
  return print_plan_line(plan, keys);
}

}  // namespace tidal
