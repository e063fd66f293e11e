// AttentionMethod: decides, layer by layer, which rows of the cache a decode step reads.
//
// A method is immutable and shared, and outlives the states it made; all that changes lives in the
// sequence's AttentionState, so a batch mixes methods, roles, budgets and lengths. plan_layer() is
// pure bookkeeping: it says what to score, what to pick and what to read, and AttentionRunner
// (attention/runner.h) carries that out with the Backend's attend, score and top_k. Prefill is
// always full attention and asks no method.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kv/sequence_summaries.h"
#include "ops/backend.h"
#include "ops/selection.h"
#include "tensor/buffer.h"

namespace tidal {

struct AttentionShape {
  int32_t n_layers = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int64_t max_length = 0;  // longest sequence
};

// What one sequence carries from layer to layer and step to step. All memory is allocated by
// make_state, at admission; a decode step allocates nothing.
struct AttentionState {
  AttentionState() = default;
  explicit AttentionState(const AttentionShape& shape);

  // Memory for the picks of a layer.
  void add_selection(int32_t layer, int32_t n_lists, int64_t capacity);

  // The cache was cut to `length` rows, or rows from there on were rewritten.
  void truncate(int64_t length);
  // An independent state with the same contents, for a forked sequence.
  AttentionState clone() const;

  AttentionShape shape;
  std::vector<Selection> selections;  // [n_layers]; layers that never select have no lists
  std::vector<Buffer> selection_memory;
  std::optional<SequenceSummaries> bounds;  // quest
  std::optional<SequenceSummaries> sums;    // rest
  RowsRead rows;                            // really read by decode steps
  int64_t rows_total = 0;                   // K rows (= V rows) full attention would have read
};

// What one sequence does in one layer of one decode step. The default reads everything.
struct LayerStep {
  enum class Scores : uint8_t {
    kNone,    // nothing is selected here
    kRows,    // q·k of every row
    kBounds,  // upper bounds of pages
  };
  Scores scores = Scores::kNone;
  TopKItem top_k;   // when scored: scope, pooling, budget, sinks, recent and candidate_rows; the
                    // runner fills in the rest
  Selection picks;  // when scored: where the picks go
  bool read_picks = false;  // attend to the picks made here; else, when scoring rows, the scores
                            // are kept on the way of attending to everything
  Selection read;           // otherwise: the rows to read; no lists: all
  // Of rows [rest_from, rest_to) the means of blocks are read too; none where rest_to is 0.
  int64_t rest_from = 0;
  int64_t rest_to = 0;
};

class AttentionMethod {
 public:
  virtual ~AttentionMethod() = default;

  virtual std::string_view name() const = 0;
  virtual std::string plan_line() const = 0;  // what is in force, e.g. for reports
  virtual int32_t correct_every() const { return 0; }
  // For a sequence whose rows lie in the pool, which outlives the state.
  virtual AttentionState make_state(const AttentionShape& shape, PagePool& pool) const = 0;
  // True where a step at this length reads everything in every layer: within the budget, or below
  // the minimal context. length counts the newest token.
  virtual bool dense(int64_t length) const = 0;
  // Asked only when !dense(length). The newest token's K and V are already in the cache.
  virtual LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const = 0;
};

}  // namespace tidal
