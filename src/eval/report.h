// Evaluation results as JSON: the same from the command line and from the library.
#pragma once

#include <nlohmann/json.hpp>

#include "eval/divergence.h"
#include "tidal/engine.h"

namespace tidal {

nlohmann::ordered_json rows_json(const RowsReport& rows);  // {"read", "total", "share"}

// {"tokens", "kld": {"mean", "stderr", "p50", ...}, "same_top", "rms_dp", "ppl", ...}
nlohmann::ordered_json divergence_json(const DivergenceSummary& summary);

}  // namespace tidal
