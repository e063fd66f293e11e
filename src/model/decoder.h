// Decoder: the forward pass, written once for every architecture, method and back end.
//
// A Batch holds rows (tokens) of several sequences: prompt chunks and decoded tokens. A prompt row
// has the same bits in a chunk of any size; a decoded token has the bits it has alone, by itself or
// in a step of several (up to kMaxStepQueries, full attention). forward() appends their K and V to
// each sequence's cache (which must have been grown by as many rows), attends, and returns logits
// for the rows that asked for them. One caller at a time. Does not allocate once constructed.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "attention/method.h"
#include "attention/runner.h"
#include "kv/sequence_kv.h"
#include "model/model.h"
#include "ops/backend.h"

namespace tidal {

enum class LogitRows : uint8_t { kNone, kLast, kAll };

// One sequence's consecutive rows in a batch.
struct BatchSequence {
  SequenceKv* kv = nullptr;  // already grown: its length is first_position + n_rows
  int64_t first_position = 0;
  int32_t n_rows = 0;
  AttendKind kind = AttendKind::kChunk;
  LogitRows logits = LogitRows::kLast;
  const AttentionMethod* method = nullptr;  // of a step of one row; null: full attention
  AttentionState* state = nullptr;          // null: what is read is not counted
  const std::atomic<bool>* stop = nullptr;  // null, or set by any thread: its rows may be given up
};

struct Batch {
  std::vector<int32_t> tokens;  // [n_rows] of all sequences, in order
  std::vector<BatchSequence> sequences;

  void clear() {
    tokens.clear();
    sequences.clear();
  }
};

// Sees every layer's attention as it is computed: the basis of evaluation and calibration. Called
// after each layer with the queries, the cache (including the rows' own K and V) and the outputs;
// it may use the back end's operations, but must leave the items unchanged.
class AttentionObserver {
 public:
  virtual ~AttentionObserver() = default;
  virtual void on_attention(int32_t layer, std::span<const AttentionItem> items) = 0;
};

struct DecoderLimits {
  int32_t max_rows = 512;      // per batch
  int32_t max_sequences = 1;   // per batch
  int64_t max_context = 4096;  // positions per sequence
  int32_t max_logit_rows = 0;  // rows with logits per batch; 0: max_sequences
};

class Decoder {
 public:
  Decoder(std::shared_ptr<const Model> model, Backend& backend, const DecoderLimits& limits);

  const Model& model() const { return *model_; }
  const DecoderLimits& limits() const { return limits_; }
  AttentionShape attention_shape() const;
  KvLayout kv_layout(DType k_dtype, DType v_dtype) const;

  // Logits of the requested rows in batch order: [n_logit_rows, vocab_size], valid until the next
  // call. Before each layer, sequences at the end of the batch whose stop is set are removed from
  // it; the rows that their caches have grown by are then not written.
  std::span<const float> forward(Batch& batch);

  // Null (the default): no observer. The observer must outlive its use.
  void observe(AttentionObserver* observer) { observer_ = observer; }

 private:
  void check_fits(const Batch& batch) const;
  void fill_rope(const Batch& batch);
  void add_attention(int32_t l, const Batch& batch);
  void add_feed_forward(int32_t l, int64_t n);
  void point_at_layer(int32_t layer, const Batch& batch);
  std::span<const float> logits(const Batch& batch);

  std::shared_ptr<const Model> model_;
  Backend& backend_;
  const ModelWeights& weights_;  // model_'s, as the back end reads them
  DecoderLimits limits_;
  RopeTable rope_table_;
  AttentionRunner attention_;
  Buffer x_;                // [max_rows, d_model] residual stream
  Buffer normed_;           // [max_rows, d_model]
  Buffer q_;                // [max_rows, n_heads, head_dim]
  Buffer k_;                // [max_rows, n_kv_heads, head_dim]
  Buffer v_;                // [max_rows, n_kv_heads, head_dim]
  Buffer attended_;         // [max_rows, n_heads, head_dim]
  Buffer gate_;             // [max_rows, widest d_ff]
  Buffer up_;               // [max_rows, widest d_ff]
  MirroredBuffer cos_sin_;  // [max_rows, 2, head_dim / 2]
  MirroredBuffer logits_;   // [max_logit_rows, vocab_size]
  std::vector<AppendItem> append_;
  std::vector<AttentionItem> items_;
  AttentionObserver* observer_ = nullptr;
};

}  // namespace tidal
