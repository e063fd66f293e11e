#include "eval/mass_meter.h"

#include <algorithm>

namespace tidal {

MassMeter::MassMeter(const AttentionShape& shape, const CaptureOptions& options)
    : shape_(shape), options_(options), sum_(shape.n_layers) {}

void MassMeter::add(const CapturedAttention& seen) {
  const int64_t n_rows = seen.position + 1;
  const int32_t n_lists = seen.picks.front().n_lists;
  if (seen.layer == 0) ++positions_;
  weigh(seen.probability, n_rows, n_lists);
  double total = 0;
  for (const double weight : weights_) total += weight;
  if (total == 0) return;
  for (size_t source = 0; source < seen.picks.size(); ++source) {
    double recovered = 0;
    for (int32_t list = 0; list < n_lists; ++list) {
      for (const int32_t row : seen.picks[source].list(list)) {
        recovered += weights_[static_cast<size_t>(list * n_rows + row)];
      }
    }
    sum_.at(static_cast<int32_t>(source), seen.layer) += recovered / total;
  }
}

// The probabilities of the rows between sinks and recent window.
void MassMeter::weigh(std::span<const float> probability, int64_t n_rows, int32_t n_lists) {
  weights_.assign(static_cast<size_t>(n_lists * n_rows), 0.0);
  const int64_t begin = std::min(options_.sinks, n_rows);
  const int64_t end = std::max(begin, n_rows - std::max<int64_t>(options_.recent, 1));
  for (int32_t head = 0; head < shape_.n_heads; ++head) {
    const int64_t list = int64_t{head} * n_lists / shape_.n_heads;
    for (int64_t row = begin; row < end; ++row) {
      weights_[static_cast<size_t>(list * n_rows + row)] +=
          double{probability[static_cast<size_t>(head * n_rows + row)]};
    }
  }
}

RecoveredMass MassMeter::mean() const {
  RecoveredMass result = sum_;
  for (double& share : result.shares) {
    share /= static_cast<double>(std::max<int64_t>(positions_, 1));
  }
  return result;
}

}  // namespace tidal
