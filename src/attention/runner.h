// AttentionRunner: one layer's attention for a whole batch, with the Backend's three operations.
//
// Chunks of several rows attend densely and causally; single decoded rows do what their method
// says. Owns the scratch for scores, sized at construction: run() allocates nothing.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "attention/method.h"
#include "ops/backend.h"

namespace tidal {

// One sequence's rows of the batch in one layer.
struct AttentionItem {
  const float* q = nullptr;  // [n_rows, n_heads, head_dim]
  float* out = nullptr;      // [n_rows, n_heads, head_dim]
  int32_t n_rows = 1;
  int64_t first_position = 0;
  KvView kv;
  const AttentionMethod* method =
      nullptr;                      // null: full attention, not counted (prefill, correction)
  AttentionState* state = nullptr;  // the sequence's, when there is a method
};

class AttentionRunner {
 public:
  // max_sequences items a call; scores for max_scored of them at max_context.
  AttentionRunner(Backend& backend, int32_t n_heads, int64_t max_context, int32_t max_sequences);

  void run(int32_t layer, std::span<const AttentionItem> items);

 private:
  Backend& backend_;
  int32_t n_heads_;
  int64_t max_context_;
  Buffer scores_;  // [max_sequences, n_heads, max_context]
  std::vector<LayerStep> steps_;
  std::vector<AttendItem> attend_;
  std::vector<ScoreItem> score_;
  std::vector<TopKItem> top_k_;
  std::vector<PageBoundsItem> bounds_;
  std::vector<ScorePagesItem> score_pages_;
};

}  // namespace tidal
