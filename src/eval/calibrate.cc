#include "eval/calibrate.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <iterator>
#include <set>
#include <utility>

#include "eval/mass_meter.h"
#include "runtime/model_options.h"
#include "runtime/session.h"

namespace tidal {
namespace {

// The positions that predict an answer's tokens.
std::vector<int64_t> answering_positions(const Question& question, int64_t context) {
  std::vector<int64_t> positions;
  const int64_t first = context + std::ssize(question.prompt) - 1;
  for (int64_t i = 0; i < std::ssize(question.answer); ++i) positions.push_back(first + i);
  return positions;
}

int64_t measured_tokens(std::span<const Probe> probes) {
  int64_t tokens = 0;
  for (const Probe& probe : probes) {
    tokens += std::ssize(probe.context);
    for (const Question& question : probe.questions) {
      tokens += std::ssize(question.prompt) + std::ssize(question.answer);
    }
  }
  return tokens;
}

// Recovered mass over probes, by dense passes.
RecoveredMass measure_mass(const std::shared_ptr<const Model>& model, const EngineOptions& options,
                           const LayerPlan& plan, std::span<const Probe> probes,
                           int64_t prose_queries, const CalibrationReport& report) {
  const Config& config = model->config();
  int64_t longest = 0;
  for (const Probe& probe : probes) longest = std::max(longest, probe.max_length());
  MethodOptions full;
  full.name = "full";
  Session session(model, options, full, longest);
  const AttentionShape shape = {config.n_layers(), config.attention().n_heads,
                                config.attention().n_kv_heads, config.attention().head_dim,
                                longest};
  const CaptureOptions capture_options = {plan.scope, plan.pooling, plan.budget_at(longest),
                                          plan.sinks, plan.recent};
  MassMeter meter(shape, capture_options);
  const int64_t total = measured_tokens(probes);
  int64_t done = 0;
  const auto run = [&](std::span<const TokenId> tokens, const std::vector<int64_t>& positions) {
    AttentionCapture capture(session.backend(), shape, capture_options, positions,
                             [&](const CapturedAttention& seen) { meter.add(seen); });
    session.observe(&capture);
    session.prefill(tokens, [&](int64_t n, int64_t) { report("measuring", done + n, total); });
    session.observe(nullptr);
    done += std::ssize(tokens);
  };
  for (const Probe& probe : probes) {
    const int64_t context = std::ssize(probe.context);
    session.truncate(0);
    // The later half of prose, where there is most to choose from.
    run(probe.context, sample_positions(context / 2, context, prose_queries));
    for (const Question& question : probe.questions) {
      session.truncate(context);
      std::vector<TokenId> tokens = question.prompt;
      tokens.insert(tokens.end(), question.answer.begin(), question.answer.end());
      run(tokens, answering_positions(question, context));
    }
  }
  return meter.mean();
}

// Runs candidates on the held-out probes and remembers them.
class Comparison {
 public:
  Comparison(const std::shared_ptr<const Model>& model, const EngineOptions& options,
             const CalibrationProbes& probes, const CalibrationOptions& settings,
             Calibration& result, const CalibrationReport& report)
      : model_(*model),
        options_(options),
        settings_(settings),
        result_(result),
        report_(report),
        full_layers_(layers_with(settings.plan, LayerRole::kFull)) {
    const int64_t total =
        measured_tokens(probes.held_out_prose) + measured_tokens(probes.held_out_retrieval);
    int64_t done = 0;
    const auto add = [&](const Probe& probe, std::deque<HeldOut>& to) {
      to.emplace_back(model, options, probe,
                      [&](int64_t n, int64_t) { report("held-out text", done + n, total); });
      done += std::ssize(probe.context);
    };
    for (const Probe& probe : probes.held_out_prose) add(probe, prose_);
    for (const Probe& probe : probes.held_out_retrieval) add(probe, retrieval_);
    result_.retrieval_budget = retrieval_budget(settings.plan, prose_.front().length());
  }

  // Measures those not seen before, up to max_candidates in total.
  void add(std::span<const std::vector<int32_t>> selects) {
    std::vector<std::vector<int32_t>> fresh;
    for (const std::vector<int32_t>& select : selects) {
      const int64_t n = std::ssize(result_.candidates) + std::ssize(fresh);
      if (n < settings_.max_candidates && seen_.insert(select).second) fresh.push_back(select);
    }
    const std::span<const std::vector<int32_t>> all = fresh;
    for (size_t first = 0; first < all.size(); first += HeldOut::kMaxMethods) {
      add_group(all.subspan(first, std::min<size_t>(all.size() - first, HeldOut::kMaxMethods)));
    }
    std::sort(result_.candidates.begin(), result_.candidates.end(),
              [](const Candidate& a, const Candidate& b) { return a.score() < b.score(); });
  }

  bool full() const { return std::ssize(result_.candidates) >= settings_.max_candidates; }
  const Candidate& best() const { return result_.candidates.front(); }

 private:
  using Methods = std::vector<std::shared_ptr<const AttentionMethod>>;

  void add_group(std::span<const std::vector<int32_t>> selects) {
    Methods at_budget;
    Methods at_retrieval_budget;
    std::vector<Candidate> group(selects.size());
    for (size_t i = 0; i < selects.size(); ++i) {
      group[i].select = selects[i];
      const bool own = settings_.plan.own;
      group[i].mass_prose = mean_recovered(result_.prose, full_layers_, selects[i], own);
      group[i].mass_retrieval = mean_recovered(result_.retrieval, full_layers_, selects[i], own);
      LayerPlan plan = with_selecting(settings_.plan, selects[i]);
      at_budget.push_back(method_of(plan));
      plan.budget = {.tokens = result_.retrieval_budget, .share_millionths = 0};
      at_retrieval_budget.push_back(method_of(plan));
    }
    const auto on_token = [&] {
      report_("comparing", std::ssize(result_.candidates), settings_.max_candidates);
    };
    for (HeldOut& probe : prose_) {
      const std::vector<HeldOutFigures> figures = probe.measure(at_budget, on_token);
      for (size_t i = 0; i < group.size(); ++i) group[i].prose += figures[i + 1];
    }
    HeldOutFigures full;
    for (HeldOut& probe : retrieval_) {
      const std::vector<HeldOutFigures> figures = probe.measure(at_retrieval_budget, on_token);
      full += figures[0];
      for (size_t i = 0; i < group.size(); ++i) group[i].retrieval += figures[i + 1];
    }
    result_.full_retrieval = full;
    result_.candidates.insert(result_.candidates.end(), group.begin(), group.end());
  }

  std::shared_ptr<const AttentionMethod> method_of(const LayerPlan& plan) const {
    MethodOptions method;
    method.min_context = 0;
    method.plan = print_plan_line(plan);
    return method_for(model_, method, options_);
  }

  const Model& model_;
  const EngineOptions& options_;
  const CalibrationOptions& settings_;
  Calibration& result_;
  const CalibrationReport& report_;
  std::vector<int32_t> full_layers_;
  std::deque<HeldOut> prose_;
  std::deque<HeldOut> retrieval_;
  std::set<std::vector<int32_t>> seen_;
};

// The same number of selecting layers, evenly spaced over those that are not full.
std::vector<int32_t> evenly_spaced(const LayerPlan& plan, int32_t n_select) {
  std::vector<int32_t> thin;
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    if (plan.layers[static_cast<size_t>(layer)].role != LayerRole::kFull) thin.push_back(layer);
  }
  std::vector<int32_t> select;
  for (int32_t i = 0; i < n_select; ++i) {
    select.push_back(thin[static_cast<size_t>(i) * thin.size() / static_cast<size_t>(n_select)]);
  }
  return select;
}

// The sets with one selecting layer, not the first, moved by a layer or two.
std::vector<std::vector<int32_t>> neighbours(const LayerPlan& plan,
                                             const std::vector<int32_t>& select) {
  std::vector<std::vector<int32_t>> result;
  for (size_t i = 1; i < select.size(); ++i) {
    for (const int32_t by : {-1, 1, -2, 2}) {
      std::vector<int32_t> moved = select;
      moved[i] += by;
      const bool after = moved[i] > moved[i - 1];
      const bool before =
          i + 1 < moved.size() ? moved[i] < moved[i + 1] : moved[i] < plan.n_layers();
      if (after && before && plan.layers[static_cast<size_t>(moved[i])].role != LayerRole::kFull) {
        result.push_back(std::move(moved));
      }
    }
  }
  return result;
}

void compare(Comparison& comparison, const CalibrationOptions& settings,
             const Calibration& result) {
  constexpr size_t kBestOfMixture = 3;
  const std::vector<int32_t> full = layers_with(settings.plan, LayerRole::kFull);
  std::vector<std::vector<int32_t>> first;
  for (const double weight : {0.0, 0.5, 1.0}) {
    const RecoveredMass mass = mix(result.prose, result.retrieval, weight);
    for (const LayerChoice& choice :
         choose_layers(mass, full, settings.n_select, settings.plan.own, kBestOfMixture)) {
      first.push_back(choice.select);
    }
  }
  first.push_back(evenly_spaced(settings.plan, settings.n_select));
  const std::vector<int32_t> given = layers_with(settings.plan, LayerRole::kSelect);
  if (std::ssize(given) == settings.n_select) first.push_back(given);
  comparison.add(first);
  for (std::vector<int32_t> from; !comparison.full() && from != comparison.best().select;) {
    from = comparison.best().select;
    comparison.add(neighbours(settings.plan, from));
  }
}

}  // namespace

double Candidate::score() const {
  // Divergences below this are considered zero.
  constexpr double kNone = 1e-3;
  return std::sqrt((prose.divergence + kNone) * (retrieval.divergence + kNone));
}

int64_t retrieval_budget(const LayerPlan& plan, int64_t length) {
  constexpr int64_t kShare = 4;
  constexpr int64_t kLeastPicks = 8;
  const int64_t budget = plan.budget_at(length);
  return std::min(budget, std::max(budget / kShare, plan.sinks + plan.recent + kLeastPicks));
}

std::vector<int32_t> layers_with(const LayerPlan& plan, LayerRole role) {
  std::vector<int32_t> layers;
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    if (plan.layers[static_cast<size_t>(layer)].role == role) layers.push_back(layer);
  }
  return layers;
}

LayerPlan with_selecting(const LayerPlan& plan, std::span<const int32_t> select) {
  LayerPlan result = plan;
  int32_t source = -1;
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    LayerSpec& spec = result.layers[static_cast<size_t>(layer)];
    if (spec.role == LayerRole::kFull) continue;
    const bool selects = std::binary_search(select.begin(), select.end(), layer);
    if (selects) source = layer;
    spec = {selects ? LayerRole::kSelect : LayerRole::kSparse, selects ? -1 : source, {}};
  }
  validate(result);
  return result;
}

Calibration calibrate(const std::shared_ptr<const Model>& model, const EngineOptions& options,
                      const CalibrationProbes& probes, const CalibrationOptions& settings,
                      const CalibrationReport& report) {
  Calibration result{.plan = settings.plan,
                     .candidates = {},
                     .full_retrieval = {},
                     .retrieval_budget = 0,
                     .prose = RecoveredMass(model->config().n_layers()),
                     .retrieval = RecoveredMass(model->config().n_layers())};
  result.prose =
      measure_mass(model, options, settings.plan, probes.prose, settings.queries, report);
  result.retrieval = measure_mass(model, options, settings.plan, probes.retrieval, 0, report);
  Comparison comparison(model, options, probes, settings, result, report);
  compare(comparison, settings, result);
  result.plan = with_selecting(settings.plan, comparison.best().select);
  return result;
}

}  // namespace tidal
