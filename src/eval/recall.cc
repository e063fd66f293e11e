#include "eval/recall.h"

#include <cmath>

#include "base/check.h"

namespace tidal {
namespace {

// Where an element of a [rows, width] array lies.
size_t place(int32_t row, int32_t width, int32_t column) {
  return static_cast<size_t>(row) * static_cast<size_t>(width) + static_cast<size_t>(column);
}

}  // namespace

LayerOverlap::LayerOverlap(const AttentionShape& shape, HeadScope scope)
    : shape_(shape),
      scope_(scope),
      overlap_(place(shape.n_layers, shape.n_layers, 0)),
      mass_(overlap_.size()) {}

void LayerOverlap::add(const CapturedAttention& at) {
  const Selection& own = at.picks.back();
  TIDAL_CHECK(own.n_lists == list_count(scope_, shape_.n_heads, shape_.n_kv_heads));
  const auto n_rows = static_cast<size_t>(at.position + 1);
  for (int32_t i = 0; i <= at.layer; ++i) {
    const Selection& other = at.picks[static_cast<size_t>(i)];
    double common = 0;
    for (int32_t list = 0; list < own.n_lists; ++list) {
      common += tidal::overlap(other.list(list), own.list(list));
    }
    double mass = 0;
    for (int32_t head = 0; head < shape_.n_heads; ++head) {
      const auto probability = at.probability.subspan(static_cast<size_t>(head) * n_rows, n_rows);
      mass += recovered_mass(probability, other.list(other.list_of_head(head, shape_.n_heads)));
    }
    const size_t index = place(i, shape_.n_layers, at.layer);
    overlap_[index] += common / own.n_lists;
    mass_[index] += mass / shape_.n_heads;
  }
  if (at.layer + 1 == shape_.n_layers) ++samples_;
}

double LayerOverlap::mean(const std::vector<double>& sums, int32_t i, int32_t j) const {
  TIDAL_CHECK(i >= 0 && i <= j && j < shape_.n_layers);
  if (samples_ == 0) return 0;
  return sums[place(i, shape_.n_layers, j)] / static_cast<double>(samples_);
}

NeighbourCosine::NeighbourCosine(const AttentionShape& shape, int64_t n_samples)
    : shape_(shape),
      last_probability_(static_cast<size_t>(n_samples)),
      last_output_(static_cast<size_t>(n_samples)),
      attention_(place(shape.n_layers - 1, shape.n_heads, 0)),
      output_(attention_.size()) {}

void NeighbourCosine::add(const CapturedAttention& at) {
  std::vector<float>& last_probability = last_probability_[static_cast<size_t>(at.sample)];
  std::vector<float>& last_output = last_output_[static_cast<size_t>(at.sample)];
  const auto n_rows = static_cast<size_t>(at.position + 1);
  const auto width = static_cast<size_t>(shape_.head_dim);
  for (size_t head = 0; at.layer > 0 && head < static_cast<size_t>(shape_.n_heads); ++head) {
    const size_t index = place(at.layer - 1, shape_.n_heads, 0) + head;
    attention_[index] += cosine(at.probability.subspan(head * n_rows, n_rows),
                                std::span(last_probability).subspan(head * n_rows, n_rows));
    output_[index] += cosine(at.output.subspan(head * width, width),
                             std::span(last_output).subspan(head * width, width));
  }
  if (at.layer + 1 < shape_.n_layers) {
    last_probability.assign(at.probability.begin(), at.probability.end());
    last_output.assign(at.output.begin(), at.output.end());
    return;
  }
  ++samples_;
  last_probability = {};
  last_output = {};
}

double NeighbourCosine::mean(const std::vector<double>& sums, int32_t layer, int32_t head) const {
  if (samples_ == 0) return 0;
  return sums.at(place(layer, shape_.n_heads, head)) / static_cast<double>(samples_);
}

PlanRecall recall_of(const LayerPlan& plan, const LayerOverlap& overlaps) {
  TIDAL_CHECK(plan.scope == overlaps.scope());
  PlanRecall result;
  int64_t n = 0;
  for (int32_t layer = 0; layer < plan.n_layers(); ++layer) {
    const LayerSpec& spec = plan.layers[static_cast<size_t>(layer)];
    if (spec.role != LayerRole::kSparse) continue;
    result.recall += overlaps.overlap(spec.source, layer);
    result.mass += overlaps.mass(spec.source, layer);
    ++n;
  }
  if (n == 0) return {1, 1};
  return {result.recall / static_cast<double>(n), result.mass / static_cast<double>(n)};
}

double cosine(std::span<const float> a, std::span<const float> b) {
  TIDAL_CHECK(a.size() == b.size());
  double product = 0;
  double a_squares = 0;
  double b_squares = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    product += double{a[i]} * double{b[i]};
    a_squares += double{a[i]} * double{a[i]};
    b_squares += double{b[i]} * double{b[i]};
  }
  const double norms = std::sqrt(a_squares) * std::sqrt(b_squares);
  return norms == 0 ? 0 : product / norms;
}

}  // namespace tidal
