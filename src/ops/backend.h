// Backend: the coarse operations a decoder is made of. One object per engine and device.
//
// Activations are float32; weights keep their file's type, in the layout the back end asks for.
// Shapes stand beside every pointer, row-major, innermost last. What operations read and write lies
// in memory(), which the host may not be able to access; arrays of items, token ids, page tables,
// slots of summaries and head maps are the host's, and may change once a call returns. Operations
// and the calls of memory() take effect in call order; one caller at a time. Once reserve() has
// seen the largest shapes, no operation allocates.
//
// Determinism: a row of any result depends only on its own inputs, bit for bit: not on the other
// rows or items of the call, nor on the number of threads. Reductions are split by position.
// Reading every row through a Selection gives the same bits as reading all rows without one.
// Attention has two kernels, which may round differently; the caller chooses (AttendKind).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "ops/kv_view.h"
#include "ops/selection.h"
#include "ops/summary_view.h"
#include "tensor/buffer.h"
#include "tensor/weight.h"

namespace tidal {

// out = x · weightᵀ (+ bias), or out += … with accumulate.
struct Linear {
  const Weight* weight = nullptr;  // [out_features, in_features]
  const float* bias = nullptr;     // [out_features] or null
  float* out = nullptr;            // [n_rows, out_features]
  bool accumulate = false;
};

enum class RopePairing : uint8_t {
  kInterleaved,  // rotates elements 2i and 2i + 1 together (llama weights in GGUF)
  kHalves,       // elements i and i + head_dim / 2 (Hugging Face; qwen in GGUF)
};

struct AppendItem {
  const float* k = nullptr;  // [n_rows, n_kv_heads, head_dim]
  const float* v = nullptr;
  int64_t n_rows = 0;
  int64_t first_position = 0;  // rows are written from this position on
  KvView kv;                   // length already includes them
};

enum class AttendKind : uint8_t {
  kStep,   // decoded tokens, 1 to kMaxStepQueries: same bits as one by one, each row loaded once
  kChunk,  // rows of a prompt, any number: same bits as in a chunk of any size
};
inline constexpr int32_t kMaxStepQueries = 16;

// Causal attention of n_queries consecutive positions of one sequence: the query at position p
// reads rows 0..p, scaled by 1 / sqrt(head_dim).
struct AttendItem {
  AttendKind kind = AttendKind::kStep;
  const float* q = nullptr;  // [n_queries, n_heads, head_dim]
  float* out = nullptr;      // [n_queries, n_heads, head_dim]
  int32_t n_queries = 1;
  int32_t n_heads = 0;
  int64_t first_position = 0;  // of query 0
  KvView kv;
  const Selection* selection = nullptr;  // rows to read, for a step of one query; null: all up to p
  float* scores = nullptr;       // null, or [n_heads, first_position + 1] for a step of one query
                                 // without a selection: the scaled products q·k
  float* log_sum_exp = nullptr;  // null, or [n_queries, n_heads] over the rows read
  RowsRead* rows = nullptr;      // null, or added to
};

// The scaled products q·k of one query with rows 0..length-1: reads K only.
struct ScoreItem {
  const float* q = nullptr;  // [n_heads, head_dim]
  int32_t n_heads = 0;
  KvView kv;
  float* scores = nullptr;  // [n_heads, kv.length]
  RowsRead* rows = nullptr;
  float* log_sum_exp = nullptr;  // null, or [n_heads] over all rows
};

// Quest: element-wise minimum and maximum of K over its pages, which are blocks of rows.
struct PageBoundsItem {
  KvView kv;
  int64_t first_row = 0;  // bounds of this row's page and all later ones are recomputed
  SummaryView bounds;  // of ceil(length / block_rows) pages, [2 (min, max), n_kv_heads, head_dim]
};

// Upper bound of the scaled q·k over each page: sum of max(q·min, q·max) per element.
struct ScorePagesItem {
  const float* q = nullptr;  // [n_heads, head_dim]
  SummaryView bounds;        // as above
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int64_t n_pages = 0;
  float* scores = nullptr;   // [n_heads, n_pages]
  RowsRead* rows = nullptr;  // two K rows per page
};

// Sums of K and of V over blocks of rows, for attend_rest. A block is cleared when its first
// position is reached. If first_row is inside a block, that block's earlier rows are in sums.open,
// and no later block is reached.
struct BlockSumsItem {
  KvView kv;
  int64_t first_row = 0;  // rows before it are already in the sums
  int64_t end_row = 0;    // rows from there on do not count (yet)
  int64_t skip_rows = 0;  // first rows, which never count
  SummaryView sums;       // of ceil(end_row / block_rows) blocks, [2 (K, V), n_kv_heads, head_dim]
};

// Adds every block to the attention of one query over other rows: the mean of its K and V stands in
// for a row that counts as often as the block has rows.
struct AttendRestItem {
  const float* q = nullptr;            // [n_heads, head_dim]
  float* out = nullptr;                // [n_heads, head_dim] of the other rows, then of both
  const float* log_sum_exp = nullptr;  // [n_heads] over the other rows
  SummaryView sums;                    // as above, up to end_row
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int64_t end_row = 0;
  int64_t skip_rows = 0;
  RowsRead* rows = nullptr;  // null, or added to: a K row and a V row per block
};

// Rows of a block that count.
inline int64_t rows_in_block(int64_t block, int32_t block_rows, int64_t skip_rows,
                             int64_t end_row) {
  const int64_t first = block * block_rows;
  const int64_t begin = first > skip_rows ? first : skip_rows;
  const int64_t end = first + block_rows < end_row ? first + block_rows : end_row;
  return end > begin ? end - begin : 0;
}

// Pools scores over the heads that share a list, picks the `budget` best candidates of each list
// (ties go to the earlier one) and writes them in ascending order. The first `sinks` and the last
// max(recent, 1) candidates are always included and count toward the budget. A candidate stands for
// candidate_rows consecutive positions (1, or a Quest page; the last one ends at n_rows).
struct TopKItem {
  const float* scores = nullptr;       // [n_heads, n_candidates]
  const float* log_sum_exp = nullptr;  // null, or [n_heads] of the scores, which saves computing it
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int64_t n_candidates = 0;
  HeadScope scope = HeadScope::kAll;
  Pooling pooling = Pooling::kRaw;
  int64_t budget = 0;  // candidates; >= sinks + max(recent, 1)
  int64_t sinks = 0;
  int64_t recent = 0;
  int32_t candidate_rows = 1;
  int64_t n_rows = 0;              // positions in total
  Selection* selection = nullptr;  // lists as in `scope`, capacity >= budget * candidate_rows
};

// The largest shapes the operations will be called with.
struct BackendLimits {
  int64_t max_rows = 1;       // rows of x in matmul and the like, queries of all items of a call
  int64_t max_features = 0;   // widest input of matmul
  int64_t max_context = 0;    // longest KvView
  int32_t max_sequences = 1;  // items in a call
  int32_t n_heads = 1;
  int32_t n_kv_heads = 1;
  int32_t head_dim = 64;
};

// What a step consists of: a back end may replay what it did for an equal shape.
struct StepShape {
  int64_t n_rows = 0;
  int32_t n_sequences = 0;
  bool decode = false;  // every sequence decodes; else some read their prompts
};

class Backend {
 public:
  virtual ~Backend() = default;

  virtual std::string_view name() const = 0;
  virtual int threads() const = 0;
  virtual Memory& memory() { return host_memory(); }
  Buffer allocate(size_t bytes) { return Buffer(bytes, memory()); }
  virtual void reserve(const BackendLimits& limits) = 0;
  // Of the weights matmul takes; embed takes rows.
  virtual WeightLayout weight_layout() const = 0;
  // Copies a matrix, in either layout in the host's memory, to `to`, which is in memory(): the
  // stored_bytes() it has in weight_layout().
  virtual void prepare(const Weight& weight, std::byte* to) = 0;

  // The operations from begin_step() to fetch() are one step and may run as late as in fetch(),
  // which returns with the first `bytes` of the results on the host.
  virtual void begin_step(const StepShape& /*shape*/) {}
  virtual void fetch(const MirroredBuffer& results, size_t bytes) { results.pull(bytes); }

  // out[i] = table row ids[i], as floats. out: [ids.size(), table.cols]
  virtual void embed(const Weight& table, std::span<const int32_t> ids, float* out) = 0;

  // out = x / sqrt(mean(x²) + epsilon) * gain, per row. x, out: [n_rows, width]; may be the same.
  virtual void rms_norm(const float* x, const float* gain, int64_t n_rows, int64_t width,
                        float epsilon, float* out) = 0;

  // All linears share x: [n_rows, in_features].
  virtual void matmul(const float* x, int64_t n_rows, std::span<const Linear> linears) = 0;

  // Rotates x: [n_rows, n_heads, head_dim] in place by cos_sin: [n_rows, 2 (cos, sin), head_dim/2].
  virtual void rope(float* x, int64_t n_rows, int32_t n_heads, int32_t head_dim,
                    const float* cos_sin, RopePairing pairing) = 0;

  // gate = silu(gate) * up, n elements.
  virtual void swiglu(float* gate, const float* up, int64_t n) = 0;

  virtual void append(std::span<const AppendItem> items) = 0;
  virtual void attend(std::span<const AttendItem> items) = 0;
  virtual void score(std::span<const ScoreItem> items) = 0;
  virtual void top_k(std::span<const TopKItem> items) = 0;
  virtual void update_page_bounds(std::span<const PageBoundsItem> items) = 0;
  virtual void score_pages(std::span<const ScorePagesItem> items) = 0;
  virtual void update_block_sums(std::span<const BlockSumsItem> items) = 0;
  virtual void attend_rest(std::span<const AttendRestItem> items) = 0;
};

}  // namespace tidal
