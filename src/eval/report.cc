#include "eval/report.h"

namespace tidal {

nlohmann::ordered_json rows_json(const RowsReport& rows) {
  return {{"read", rows.read}, {"total", rows.total}, {"share", rows.share()}};
}

nlohmann::ordered_json divergence_json(const DivergenceSummary& summary) {
  return {{"tokens", summary.tokens},
          {"kld",
           {{"mean", summary.mean},
            {"stderr", summary.standard_error},
            {"p50", summary.p50},
            {"p90", summary.p90},
            {"p99", summary.p99},
            {"p999", summary.p999},
            {"max", summary.max}}},
          {"same_top", summary.same_top},
          {"rms_dp", summary.rms_dp},
          {"ppl", summary.perplexity},
          {"ppl_stderr", summary.perplexity_error},
          {"ppl_full", summary.perplexity_full}};
}

}  // namespace tidal
