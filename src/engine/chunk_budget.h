// ChunkBudget: how many rows of a prompt run in a step beside sequences that decode.
//
// Rows whose measured cost is twice that of a step without them, so that a stream's tokens come at
// most three times as far apart, and never more than kMostSeconds; kLeastRows at least, so that
// the prompt gets on. Chunks of any size give the same bits. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstdint>

namespace tidal {

class ChunkBudget {
 public:
  static constexpr int32_t kLeastRows = 4;
  static constexpr double kMostSeconds = 0.25;

  explicit ChunkBudget(int32_t most_rows) : most_rows_(most_rows) {}

  // others: sequences that decode in the same step.
  int32_t rows(int32_t others) const {
    if (others == 0) return most_rows_;
    double seconds = kMostSeconds;
    if (step_seconds_ > 0) seconds = std::min(seconds, 2 * step_seconds_);
    const double rows = row_seconds_ > 0 ? seconds / row_seconds_ : 0;
    const int32_t least = std::min(kLeastRows, most_rows_);
    return rows < most_rows_ ? std::max(least, static_cast<int32_t>(rows)) : most_rows_;
  }

  // A step took so long.
  void measured(int32_t prompt_rows, int32_t others, double seconds) {
    if (prompt_rows == 0) {
      step_seconds_ = mean(step_seconds_, seconds);
      return;
    }
    const double own = others > 0 ? seconds - step_seconds_ : seconds;
    row_seconds_ = mean(row_seconds_, std::max(seconds / 2, own) / prompt_rows);
  }

 private:
  // Old and new alike: depth grows slowly, but the company changes at once.
  static double mean(double before, double now) { return before > 0 ? (before + now) / 2 : now; }

  int32_t most_rows_;
  double step_seconds_ = 0;  // of decoding sequences alone
  double row_seconds_ = 0;   // of a prompt row
};

}  // namespace tidal
