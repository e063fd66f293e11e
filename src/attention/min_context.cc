#include "attention/min_context.h"

#include "base/check.h"

namespace tidal {
namespace {

// What scoring, picking and the extra passes of a selecting layer cost besides its rows, as bytes
// that could be read in that time: 15 to 25 microseconds at 45 GB/s.
constexpr double kSelectBytes = 0.75e6;

// How much longer a gathered row takes than one read in order.
double gather_factor(HeadScope scope) {
  switch (scope) {
    case HeadScope::kAll:
      return 1.5;
    case HeadScope::kKvHead:
      return 1.7;
    case HeadScope::kQueryHead:  // a union of lists is built and masked
      return 5.0;
  }
  return 1.0;
}

// Cost of a step's attention, in rows read in order.
bool pays(const LayerPlan& plan, int64_t row_bytes, int64_t length) {
  const auto rows = static_cast<double>(length);
  const double gathered = static_cast<double>(plan.budget_at(length)) * gather_factor(plan.scope);
  double sparse = 0;
  for (const LayerSpec& layer : plan.layers) {
    switch (layer.role) {
      case LayerRole::kFull:
        sparse += rows;
        break;
      case LayerRole::kSelect:
        sparse += plan.own ? rows / 2 + gathered : rows;
        sparse += kSelectBytes / static_cast<double>(row_bytes);
        break;
      case LayerRole::kSparse:
        sparse += gathered;
        break;
    }
  }
  return sparse < rows * static_cast<double>(plan.n_layers());
}

}  // namespace

int64_t default_min_context(const LayerPlan& plan, int64_t row_bytes) {
  TIDAL_CHECK(row_bytes > 0);
  int64_t low = 0;  // does not pay off
  int64_t high = kMaxMinContext;
  while (high - low > 1) {
    const int64_t middle = (low + high) / 2;
    (pays(plan, row_bytes, middle) ? high : low) = middle;
  }
  return high;
}

}  // namespace tidal
