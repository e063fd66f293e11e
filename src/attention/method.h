// AttentionMethod: decides, layer by layer, which rows of the cache a decode step reads.
//
// A method is immutable and shared; all that changes lives in the sequence's AttentionState, so a
// batch mixes methods, roles, budgets and lengths. plan_layer() is pure bookkeeping: it says what
// to score, what to pick and what to read, and AttentionRunner (attention/runner.h) carries that
// out with the Backend's attend, score and top_k. Prefill is always full attention and asks no
// method.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

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

// What one sequence carries from layer to layer and step to step. Allocated once, at admission.
struct AttentionState {
  AttentionShape shape;
  std::vector<Selection> selections;  // [n_layers]; only layers that select have memory
  std::vector<Buffer> selection_memory;
  std::vector<float*> page_bounds;  // quest: [n_layers] bounds, see PageBoundsItem
  std::vector<Buffer> bounds_memory;
  std::vector<int64_t> bounds_length;  // [n_layers] rows whose bounds are up to date
  RowsRead rows;                       // really read by decode steps
  int64_t rows_total = 0;              // K rows (= V rows) full attention would have read

  // The cache was cut to `length` rows, or rows from there on were rewritten.
  void truncate(int64_t length);
};

// What one sequence does in one layer of one decode step.
struct LayerStep {
  enum class Scores : uint8_t {
    kNone,    // nothing is selected here
    kRows,    // q·k of every row
    kBounds,  // upper bounds of pages
  };
  Scores scores = Scores::kNone;
  TopKItem top_k;              // what to pick, when scored; scores and lengths are filled in later
  Selection* picks = nullptr;  // where the picks go, when scored
  bool read_picks = false;     // attend to the picks made here; else, when scoring rows, the scores
                               // are kept on the way of attending to everything
  const Selection* read = nullptr;  // otherwise: rows to read, null for all
};

class AttentionMethod {
 public:
  virtual ~AttentionMethod() = default;

  virtual std::string_view name() const = 0;
  virtual std::string plan_line() const = 0;  // what is in force, e.g. for reports
  virtual int32_t correct_every() const { return 0; }
  virtual AttentionState make_state(const AttentionShape& shape) const = 0;
  // length counts the newest token, whose K and V are already in the cache.
  virtual LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const = 0;
};

}  // namespace tidal
