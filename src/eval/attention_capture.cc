#include "eval/attention_capture.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/check.h"

namespace tidal {
namespace {

void softmax(std::span<const float> scores, std::span<float> probability) {
  const float largest = *std::max_element(scores.begin(), scores.end());
  double sum = 0;
  for (size_t i = 0; i < scores.size(); ++i) {
    probability[i] = std::exp(scores[i] - largest);
    sum += probability[i];
  }
  const auto scale = static_cast<float>(1 / sum);
  for (float& value : probability) value *= scale;
}

}  // namespace

AttentionCapture::AttentionCapture(Backend& backend, const AttentionShape& shape,
                                   const CaptureOptions& options, std::vector<int64_t> positions,
                                   Sink sink)
    : backend_(backend),
      shape_(shape),
      options_(options),
      positions_(std::move(positions)),
      sink_(std::move(sink)),
      n_lists_(list_count(options.scope, shape.n_heads, shape.n_kv_heads)),
      scores_(positions_.empty()
                  ? 0
                  : static_cast<size_t>(shape.n_heads * (positions_.back() + 1)) * sizeof(float),
              backend.memory()),
      output_(static_cast<size_t>(shape.n_heads * shape.head_dim)) {
  TIDAL_CHECK(std::is_sorted(positions_.begin(), positions_.end()));
  TIDAL_CHECK(options.budget >= options.sinks + std::max<int64_t>(options.recent, 1));
}

void AttentionCapture::on_attention(int32_t layer, std::span<const AttentionItem> items) {
  TIDAL_CHECK(items.size() == 1, "a capture watches one sequence");
  const AttentionItem& item = items.front();
  if (layer == 0) make_room(item);
  for (int64_t i = 0; i < n_samples_; ++i) capture(layer, item, first_sample_ + i);
}

// Finds the samples of the chunk that begins here and assigns their picks a place.
void AttentionCapture::make_room(const AttentionItem& item) {
  const auto begin = std::lower_bound(positions_.begin(), positions_.end(), item.first_position);
  const auto end = std::lower_bound(begin, positions_.end(), item.first_position + item.n_rows);
  first_sample_ = begin - positions_.begin();
  n_samples_ = end - begin;
  const int64_t n_selections = n_samples_ * shape_.n_layers;
  const int64_t n_lists = n_selections * n_lists_;
  rows_ = {static_cast<size_t>(n_lists * options_.budget) * sizeof(int32_t), backend_.memory()};
  counts_ = {static_cast<size_t>(n_lists) * sizeof(int64_t), backend_.memory()};
  picks_.assign(static_cast<size_t>(n_selections), {});
}

// Picks from the current scores; returns the host's view.
Selection AttentionCapture::pick(int32_t layer, int64_t sample) {
  const int64_t first_list = ((sample - first_sample_) * shape_.n_layers + layer) * n_lists_;
  const auto place = [&](int32_t* rows, int64_t* counts) {
    return Selection{.n_lists = n_lists_,
                     .capacity = options_.budget,
                     .positions = rows + first_list * options_.budget,
                     .counts = counts + first_list};
  };
  Selection picks = place(rows_.device<int32_t>(), counts_.device<int64_t>());
  TopKItem top_k;
  top_k.scores = scores_.device<float>();
  top_k.n_heads = shape_.n_heads;
  top_k.n_kv_heads = shape_.n_kv_heads;
  top_k.n_candidates = top_k.n_rows = positions_[static_cast<size_t>(sample)] + 1;
  top_k.scope = options_.scope;
  top_k.pooling = options_.pooling;
  top_k.budget = options_.budget;
  top_k.sinks = options_.sinks;
  top_k.recent = options_.recent;
  top_k.selection = &picks;
  backend_.top_k({&top_k, 1});
  rows_.pull(rows_.size());
  counts_.pull(counts_.size());
  return place(rows_.host<int32_t>(), counts_.host<int64_t>());
}

void AttentionCapture::capture(int32_t layer, const AttentionItem& item, int64_t sample) {
  const int64_t position = positions_[static_cast<size_t>(sample)];
  const int64_t row = position - item.first_position;
  const int64_t width = int64_t{shape_.n_heads} * shape_.head_dim;
  const auto n_rows = static_cast<size_t>(position + 1);
  const auto n_heads = static_cast<size_t>(shape_.n_heads);
  probability_.resize(n_heads * n_rows);

  KvView kv = item.kv;
  kv.length = position + 1;
  const ScoreItem score = {item.q + row * width, shape_.n_heads, kv, scores_.device<float>(),
                           nullptr};
  backend_.score({&score, 1});
  scores_.pull(n_heads * n_rows * sizeof(float));
  const std::span<const float> scores(scores_.host<float>(), n_heads * n_rows);
  for (size_t head = 0; head < n_heads; ++head) {
    softmax(scores.subspan(head * n_rows, n_rows),
            std::span(probability_).subspan(head * n_rows, n_rows));
  }
  const int64_t first = (sample - first_sample_) * shape_.n_layers;
  picks_[static_cast<size_t>(first + layer)] = pick(layer, sample);
  backend_.memory().copy_out(output_.data(), item.out + row * width,
                             output_.size() * sizeof(float));

  sink_({.layer = layer,
         .sample = sample,
         .position = position,
         .scores = scores,
         .probability = probability_,
         .output = output_,
         .picks = std::span(picks_).subspan(static_cast<size_t>(first),
                                            static_cast<size_t>(layer) + 1)});
}

std::vector<int64_t> sample_positions(int64_t first, int64_t last, int64_t count) {
  TIDAL_CHECK(first >= 0 && first <= last && count >= 0);
  const int64_t n = std::min(count, last - first);
  std::vector<int64_t> positions;
  for (int64_t i = 0; i < n; ++i) {
    positions.push_back(first + (2 * i + 1) * (last - first) / (2 * n));
  }
  return positions;
}

int64_t common_rows(std::span<const int32_t> a, std::span<const int32_t> b) {
  int64_t n = 0;
  for (size_t i = 0, j = 0; i < a.size() && j < b.size();) {
    n += a[i] == b[j] ? 1 : 0;
    const bool next_a = a[i] <= b[j];
    const bool next_b = b[j] <= a[i];
    i += next_a ? 1 : 0;
    j += next_b ? 1 : 0;
  }
  return n;
}

double overlap(std::span<const int32_t> a, std::span<const int32_t> b) {
  return b.empty() ? 1 : static_cast<double>(common_rows(a, b)) / static_cast<double>(b.size());
}

double recovered_mass(std::span<const float> probability, std::span<const int32_t> rows) {
  double mass = 0;
  for (const int32_t row : rows) mass += double{probability[static_cast<size_t>(row)]};
  return mass;
}

}  // namespace tidal
