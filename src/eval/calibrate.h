// Calibration: finds the selecting layers of a model by measurement.
//
// 1. Dense passes over text and over retrieval probes, watched by a MassMeter at sampled positions.
// 2. The sets that recover the most attention mass, by dynamic programming over mixtures of the two
//    (layer_choice.h): plain text favours other layers than retrieval does.
// 3. Each of them, evenly spaced layers and the given plan's own (where they are as many) run
//    held-out probes through the decode path, beside full attention; then the best one's
//    neighbours, until none is better.
// Memory: the caches of the held-out probes. Reports often; a report that throws ends the work.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "attention/layer_plan.h"
#include "eval/held_out.h"
#include "eval/layer_choice.h"
#include "eval/probe.h"
#include "model/model.h"
#include "tidal/options.h"

namespace tidal {

struct CalibrationProbes {
  std::vector<Probe> prose;  // measured
  std::vector<Probe> retrieval;
  std::vector<Probe> held_out_prose;  // decoded
  std::vector<Probe> held_out_retrieval;
};

struct CalibrationOptions {
  LayerPlan plan;  // the search may begin at its selecting layers
  int32_t n_select = 5;
  int32_t max_candidates = 60;
  int64_t queries = 96;  // positions measured in each prose text
};

struct Candidate {
  std::vector<int32_t> select;
  double mass_prose = 0;  // recovered, mean over the layers that are not full
  double mass_retrieval = 0;
  HeldOutFigures prose;      // at the plan's budget
  HeldOutFigures retrieval;  // at a quarter of it, where plans differ more

  // The geometric mean of the two divergences, so that halving either has the same effect.
  double score() const;
};

struct Calibration {
  LayerPlan plan;                     // the best candidate's
  std::vector<Candidate> candidates;  // best first
  HeldOutFigures full_retrieval;      // what full attention recovers
  int64_t retrieval_budget = 0;
  RecoveredMass prose;
  RecoveredMass retrieval;
};

using CalibrationReport = std::function<void(std::string_view stage, int64_t done, int64_t total)>;

// The budget at which retrieval is compared.
int64_t retrieval_budget(const LayerPlan& plan, int64_t length);

// The plan with these layers selecting and all others that are not full sparse.
LayerPlan with_selecting(const LayerPlan& plan, std::span<const int32_t> select);
std::vector<int32_t> layers_with(const LayerPlan& plan, LayerRole role);

Calibration calibrate(const std::shared_ptr<const Model>& model, const EngineOptions& options,
                      const CalibrationProbes& probes, const CalibrationOptions& settings,
                      const CalibrationReport& report);

}  // namespace tidal
