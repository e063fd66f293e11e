// Sequence: the tokens of one text, their rows in the cache, and what its method carries.
//
// Tokens are enqueued in two ways: a prompt is read by full attention in chunks, a decoded token by
// the method in one step. next() says what the sequence wants to run; schedule() puts that into a
// batch, and after Decoder::forward() commit() records it as done. If the method corrects, the rows
// its steps wrote are recomputed by full attention every correct_every() tokens (KV cache
// correction, Algorithm 1 of TidalDecode and its section 3.3) and before a new prompt.
//
// A lossless sequence takes the method's tokens for drafts: rows of those are run again as full
// attention's own steps would run them, several in one pass (a verification), and what that pass
// says decides. Its tokens are those of full attention, bit for bit; it needs no corrections.
//
// Results depend only on the tokens and the method, not on how prompts are cut into chunks, nor on
// other sequences in the batch. Owns its pages; the pool must outlive it. Not thread-safe. Only the
// constructor and fork() allocate, up to max_length.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "attention/method.h"
#include "kv/sequence_kv.h"
#include "model/decoder.h"
#include "tidal/engine.h"
#include "tidal/options.h"

namespace tidal {

enum class WorkKind : uint8_t {
  kNone,
  kPrompt,   // a chunk of a prompt, full attention
  kCorrect,  // rows the method's steps wrote, recomputed by full attention
  kDecode,   // one token, by the method
  kVerify,   // tokens of a lossless sequence, by full attention's step
};

struct Work {
  WorkKind kind = WorkKind::kNone;
  int32_t n_rows = 0;
  bool last = false;        // nothing is queued behind it: its last row has logits
  bool all_logits = false;  // all its rows have

  int32_t logit_rows() const { return all_logits ? n_rows : last ? 1 : 0; }
};

// Rows of a prompt in one batch whose logits are all asked for.
inline constexpr int32_t kLogitRows = 32;
static_assert(kMostDrafts < kMaxStepQueries, "a verification runs the token before them too");

// What a lossless sequence does with tokens that are queued behind its prompt.
enum class DraftPhase : uint8_t {
  kVerify,  // runs what full attention has not run
  kDraft,   // runs the last one by the method
  kHold,    // nothing, until the phase changes
};

class Sequence {
 public:
  // rows holds the cached rows of `tokens`, written by full attention; both may be empty. The
  // method's memory is sized for shape.max_length tokens.
  Sequence(std::shared_ptr<const AttentionMethod> method, const AttentionShape& shape,
           SequenceKv rows, std::span<const int32_t> tokens);

  void enqueue(std::span<const int32_t> prompt);
  void enqueue(int32_t decoded);
  // From here on its method drafts: before any token is decoded. It verifies until told to draft.
  void make_lossless() { lossless_ = true; }
  void set_phase(DraftPhase phase) { phase_ = phase; }
  // A token that may come next; take() says whether it does.
  void enqueue_draft(int32_t token);
  // The token that comes next. True if it was drafted: then it stays as it is, with its row, and
  // so do the drafts behind it. Otherwise all drafts are forgotten.
  bool take(int32_t token);
  void drop_drafts() { rewind(length() - n_drafts_); }
  // Every row of a prompt gets logits, in chunks of at most kLogitRows.
  void ask_for_prompt_logits() { prompt_logits_ = true; }
  // Forgets all but the first `length` tokens, cached or queued.
  void rewind(int64_t length);
  // A sequence with the same tokens that shares the cached rows until either writes, with a copy of
  // what the method carries, or a new state for another method. Its counts start at 0.
  Sequence fork() const;
  Sequence fork(std::shared_ptr<const AttentionMethod> method) const;

  // What to run next, prompts and corrections in chunks of at most max_rows.
  Work next(int32_t max_rows) const;
  // Pages that this work will take from the pool.
  int64_t pages_needed(const Work& work) const;
  // Makes room in the cache and appends the rows to the batch. False if the pool has too few pages:
  // then nothing was added, and next() must be asked again once some are free. stop: see
  // BatchSequence.
  [[nodiscard]] bool schedule(const Work& work, Batch& batch,
                              const std::atomic<bool>* stop = nullptr);
  // The batch has run.
  void commit(const Work& work);

  const AttentionMethod& method() const { return *method_; }
  std::span<const int32_t> tokens() const { return tokens_; }
  int64_t length() const { return static_cast<int64_t>(tokens_.size()); }
  int64_t cached() const { return kv_.length(); }
  // The first rows, written by full attention over rows of the same kind: what may be shared.
  int64_t exact() const { return exact_; }
  const SequenceKv& kv() const { return kv_; }
  // Pages the queued tokens and n_more will take from the pool.
  int64_t pages_to_grow(int64_t n_more = 0) const {
    return kv_.pages_needed(length() + n_more - cached());
  }

  bool lossless() const { return lossless_; }
  DraftPhase phase() const { return phase_; }
  int64_t n_drafts() const { return n_drafts_; }
  // Tokens of the text whose rows are yet to be run by full attention; of a lossless sequence.
  int64_t unverified() const { return length() - n_drafts_ - verified_; }

  // Of decode steps, drafts and verifications; in total what full attention reads for the tokens
  // that are there.
  RowsReport rows() const;
  RowsRead rows_read() const { return state_.rows(); }
  int64_t corrections() const { return corrections_; }

 private:
  Sequence(const Sequence& other, std::shared_ptr<const AttentionMethod> method,
           AttentionState state);

  int64_t uncorrected() const { return cached() - exact_; }
  bool correction_due() const;
  Work next_lossless() const;
  int64_t full_rows() const;

  std::shared_ptr<const AttentionMethod> method_;
  AttentionShape shape_;
  SequenceKv kv_;
  AttentionState state_;
  std::vector<int32_t> tokens_;  // cached ones, then queued ones
  int64_t exact_ = 0;
  int64_t dense_end_ = 0;    // queued tokens before it are read by full attention
  int64_t correct_end_ = 0;  // those before this one for another time
  int64_t corrections_ = 0;
  bool prompt_logits_ = false;

  bool lossless_ = false;
  DraftPhase phase_ = DraftPhase::kVerify;
  int64_t n_drafts_ = 0;  // tokens at the end that may be forgotten
  int64_t verified_ =
      0;  // rows as full attention writes them: the prompt's, and those of its steps
};

}  // namespace tidal
