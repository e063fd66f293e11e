// MassMeter: how much of every layer's attention mass the rows picked by earlier layers recover.
//
// Adds up what an AttentionCapture shows. The sinks and the recent window are in every pick, so
// they are excluded from the mass, which would otherwise be mostly theirs; the rest of a layer's
// mass counts as 1 at each position.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "eval/attention_capture.h"
#include "eval/layer_choice.h"

namespace tidal {

class MassMeter {
 public:
  // The options and the shape are the capture's.
  MassMeter(const AttentionShape& shape, const CaptureOptions& options);

  void add(const CapturedAttention& seen);

  RecoveredMass mean() const;  // over the positions seen

 private:
  void weigh(std::span<const float> probability, int64_t n_rows, int32_t n_lists);

  AttentionShape shape_;
  CaptureOptions options_;
  std::vector<double> weights_;  // [n_lists, n_rows] summed over a list's heads, 0 outside the mass
  RecoveredMass sum_;
  int64_t positions_ = 0;
};

}  // namespace tidal
