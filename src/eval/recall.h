// Position persistence, measured: how many of a layer's top K rows other layers pick too.
//
// The paper's definitions (TidalDecode, arXiv 2410.05076, Figs. 2 and 8): overlap(i, j) is the
// share of layer j's own top K that layer i picked as well; the recall of a plan is the mean over
// its sparse layers of overlap(the layer they read, themselves). Beside it stands what a sparse
// layer really needs: the attention mass of layer j on layer i's rows. All are means over sampled
// positions of a dense prefill, and over the lists or heads.
//
// Memory: layers x layers matrices, and one layer's probabilities of the sampled positions.
#pragma once

#include <cstdint>
#include <vector>

#include "attention/layer_plan.h"
#include "eval/attention_capture.h"

namespace tidal {

// Sums over samples; the accessors give means.
class LayerOverlap {
 public:
  explicit LayerOverlap(const AttentionShape& shape, HeadScope scope);

  // What an AttentionCapture of that scope shows.
  void add(const CapturedAttention& at);

  HeadScope scope() const { return scope_; }
  int64_t samples() const { return samples_; }
  // Of layer j by the picks of layer i <= j.
  double overlap(int32_t i, int32_t j) const { return mean(overlap_, i, j); }
  double mass(int32_t i, int32_t j) const { return mean(mass_, i, j); }

 private:
  double mean(const std::vector<double>& sums, int32_t i, int32_t j) const;

  AttentionShape shape_;
  HeadScope scope_;
  int64_t samples_ = 0;          // that reached the last layer
  std::vector<double> overlap_;  // [n_layers, n_layers]
  std::vector<double> mass_;     // [n_layers, n_layers]
};

// How similar the attention of neighbouring layers is, head by head: the cosine between their
// probabilities over the rows, and between their outputs.
class NeighbourCosine {
 public:
  NeighbourCosine(const AttentionShape& shape, int64_t n_samples);

  void add(const CapturedAttention& at);

  // Between layer and layer + 1.
  double attention(int32_t layer, int32_t head) const { return mean(attention_, layer, head); }
  double output(int32_t layer, int32_t head) const { return mean(output_, layer, head); }

 private:
  double mean(const std::vector<double>& sums, int32_t layer, int32_t head) const;

  AttentionShape shape_;
  int64_t samples_ = 0;
  std::vector<std::vector<float>> last_probability_;  // [n_samples][n_heads, position + 1]
  std::vector<std::vector<float>> last_output_;       // [n_samples][n_heads, head_dim]
  std::vector<double> attention_;                     // [n_layers - 1, n_heads]
  std::vector<double> output_;                        // [n_layers - 1, n_heads]
};

struct PlanRecall {
  double recall = 0;  // mean overlap of the sparse layers with their sources; 1 without any
  double mass = 0;    // mean attention mass of the sparse layers on their sources' rows
};
// The plan's scope must match that of the overlaps. Head maps are ignored: a head is compared with
// the same head of the source.
PlanRecall recall_of(const LayerPlan& plan, const LayerOverlap& overlaps);

double cosine(std::span<const float> a, std::span<const float> b);  // 0 if either is zero

}  // namespace tidal
