// Scheduler: which sequences run in the next step, and with which rows.
//
// Every decoding sequence takes part, every due KV cache correction that fits, and one chunk of one
// prompt, the oldest. Sequences are admitted oldest first, each with the pages it can grow to set
// aside: one that was admitted never runs out. Conversations keep the rows of their last prompt as
// long as no other sequence needs the pages. Not thread-safe; the pool must outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "kv/prefix_cache.h"
#include "model/decoder.h"
#include "runtime/sequence.h"

namespace tidal {

struct SchedulerLimits {
  int32_t max_sequences = 1;
  int32_t prefill_chunk = 512;  // rows of a prompt chunk, and of all corrections of a step

  int32_t max_rows() const { return max_sequences + 2 * prefill_chunk; }
};

struct Scheduled {
  size_t index = 0;  // of the running sequence
  Work work;
  int32_t logits_row = 0;  // of its last row, where work.last
};

class Scheduler {
 public:
  Scheduler(const SchedulerLimits& limits, PagePool& pool);

  // Room in the cache for a sequence of up to max_length tokens: the rows of its conversation (0:
  // none) that begin the prompt, or no rows. Nothing when it must wait until another is released.
  std::optional<SequenceKv> admit(uint64_t conversation, std::span<const int32_t> prompt,
                                  int64_t max_length);
  // One that was admitted has ended, or never began: its pages are free again, or kept for its
  // conversation.
  void release(uint64_t conversation, std::optional<Sequence> sequence, int64_t max_length);

  // Gives up what is kept of the conversation used longest ago. False when nothing is.
  bool drop_kept_prompt() { return prefixes_.drop_oldest(); }

  // Puts the rows of those that take part into the batch.
  std::span<const Scheduled> plan(std::span<Sequence* const> running, Batch& batch);

 private:
  bool takes_part(const Work& work, int32_t& correction_rows, bool& prompt_chunk) const;

  SchedulerLimits limits_;
  PagePool& pool_;
  PrefixCache prefixes_;
  int32_t n_running_ = 0;
  int64_t reserved_pages_ = 0;  // of running sequences
  std::vector<Scheduled> scheduled_;
};

}  // namespace tidal
