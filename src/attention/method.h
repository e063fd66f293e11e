// AttentionMethod: decides, layer by layer, which rows of the cache a decode step reads.
//
// A method is immutable, shared and outlives the states it made; everything mutable lives in the
// sequence's AttentionState, so one batch can mix methods, roles, budgets and lengths. plan_layer()
// is pure bookkeeping: it says what to score, pick and read, and AttentionRunner
// (attention/runner.h) carries that out with the Backend's attend, score and top_k. Prefill is
// always full attention and involves no method.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "attention/layer_step.h"
#include "kv/page_pool.h"

namespace tidal {

struct AttentionShape {
  int32_t n_layers = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int64_t max_length = 0;  // longest sequence
};

// What a method carries for one sequence across layers and steps: a type of its own, beside the
// method. make_state allocates all its memory, at admission; a step allocates nothing.
class MethodState {
 public:
  virtual ~MethodState() = default;
  // The cache was truncated to `length` rows, or rows from there on were rewritten.
  virtual void truncate(int64_t /*length*/) {}
  // An independent copy, for a forked sequence.
  virtual std::unique_ptr<MethodState> clone() const = 0;
};

// The state of one sequence: its method's, and how many rows it has read.
class AttentionState {
 public:
  // of_method: null if the method carries nothing.
  AttentionState(Memory& memory, std::unique_ptr<MethodState> of_method)
      : of_method_(std::move(of_method)), rows_(sizeof(RowsRead), memory) {}

  void truncate(int64_t length) {
    if (of_method_ != nullptr) of_method_->truncate(length);
  }
  // Counts start at 0.
  AttentionState clone() const {
    return {rows_.memory(), of_method_ == nullptr ? nullptr : of_method_->clone()};
  }
  // Called by the method that made it.
  template <typename State>
  State& as() const {
    return static_cast<State&>(*of_method_);
  }

  // What decode steps really read, counted by the back end through row_counter().
  RowsRead rows() const {
    rows_.pull(sizeof(RowsRead));
    return *rows_.host<RowsRead>();
  }
  RowsRead* row_counter() { return rows_.device<RowsRead>(); }

  int64_t rows_total = 0;  // K rows (= V rows) full attention would have read

 private:
  std::unique_ptr<MethodState> of_method_;
  MirroredBuffer rows_;  // one RowsRead
};

class AttentionMethod {
 public:
  virtual ~AttentionMethod() = default;

  virtual std::string_view name() const = 0;
  virtual std::string plan_line() const = 0;  // the plan in force, e.g. for reports
  virtual int32_t correct_every() const { return 0; }
  // For a sequence whose rows lie in the pool, which must outlive the state.
  virtual AttentionState make_state(const AttentionShape& shape, PagePool& pool) const = 0;
  // True if a step at this length reads everything in every layer: within the budget, or below the
  // minimum context. length includes the newest token.
  virtual bool dense(int64_t length) const = 0;
  // Called only when !dense(length). The newest token's K and V are already in the cache.
  virtual LayerStep plan_layer(int32_t layer, int64_t length, AttentionState& state) const = 0;
};

}  // namespace tidal
