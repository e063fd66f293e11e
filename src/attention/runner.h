// AttentionRunner: one layer's attention for a whole batch, with the Backend's operations.
//
// Prompt chunks attend densely and causally, and so do steps without a method; a decoded token does
// what its method says. Each operation is called at most once for all items together (attend twice:
// before and after the picks are made). Owns the scratch for scores, sized at construction and
// backed by memory only once used: run() allocates nothing. One caller at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "attention/method.h"
#include "ops/backend.h"

namespace tidal {

// One sequence's rows of the batch in one layer.
struct AttentionItem {
  AttendKind kind = AttendKind::kStep;
  const float* q = nullptr;  // [n_rows, n_heads, head_dim]
  float* out = nullptr;      // [n_rows, n_heads, head_dim]
  int32_t n_rows = 1;
  int64_t first_position = 0;
  KvView kv;                                // already holds the rows' own K and V
  const AttentionMethod* method = nullptr;  // of a step of one row; null: full attention
  AttentionState* state = nullptr;          // the sequence's; null: what is read is not counted
};

class AttentionRunner {
 public:
  // Up to max_sequences items per call, of up to max_context positions each.
  AttentionRunner(Backend& backend, int32_t n_heads, int64_t max_context, int32_t max_sequences);

  void run(int32_t layer, std::span<const AttentionItem> items);

 private:
  void add(int32_t layer, const AttentionItem& item);
  // What precedes attention. True if attention must wait for the picks made here.
  bool prepare(int32_t layer, ReadAll& read, AttendItem& attend);
  bool prepare(int32_t layer, ReadSelection& read, AttendItem& attend);
  bool prepare(int32_t layer, ReadAllAndPick& read, AttendItem& attend);
  bool prepare(int32_t layer, PickAndRead& read, AttendItem& attend);
  bool prepare(int32_t layer, PickPagesAndRead& read, AttendItem& attend);
  const TopKItem& add_top_k(Picking& pick, const KvView& kv, int32_t candidate_rows,
                            const float* log_sum_exp);
  void add_rest(int32_t layer, const ReadMeans& rest, AttendItem& attend);
  float* log_sum_exp_of(const Picking& pick) const;
  // Scratch of the sequence added last: [n_heads, per_head]
  float* scratch(const Buffer& buffer, int64_t per_head) const;

  Backend& backend_;
  int32_t n_heads_;
  int64_t max_context_;
  int32_t max_sequences_;
  Buffer scores_;                 // [max_sequences, n_heads, max_context]
  Buffer log_sum_exp_;            // [max_sequences, n_heads] of the scores
  Buffer rest_log_sum_exp_;       // [max_sequences, n_heads] of the rows read one by one
  std::vector<LayerStep> steps_;  // [max_sequences] of the decoding items
  std::vector<AttendItem> attend_;
  std::vector<AttendItem> attend_picks_;
  std::vector<ScoreItem> score_;
  std::vector<TopKItem> top_k_;
  std::vector<PageBoundsItem> bounds_;
  std::vector<ScorePagesItem> score_pages_;
  std::vector<BlockSumsItem> block_sums_;
  std::vector<AttendRestItem> rest_;
};

}  // namespace tidal
