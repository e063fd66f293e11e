// Scheduler: which sequences run in the next step, and with which rows.
//
// Every decoding sequence takes part, every due KV cache correction that fits, and one chunk of one
// prompt, the oldest. A prompt is always cut at multiples of the chunk size, whatever else runs, so
// its rows are the same bits in any company. Sequences are admitted oldest first, each with the
// pages it can grow to set aside: one that was admitted never runs out. Conversations keep the rows
// of their last prompt as long as nobody else needs the pages.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "engine/sequence.h"
#include "kv/prefix_cache.h"
#include "model/decoder.h"

namespace tidal {

struct SchedulerLimits {
  int32_t max_sequences = 1;
  int32_t prefill_chunk = 512;  // rows of a prompt chunk, and of all corrections of a step

  int32_t max_rows() const { return max_sequences + 2 * prefill_chunk; }
};

struct Scheduled {
  Sequence* sequence;
  Work work;
  int32_t n_rows;
};

class Scheduler {
 public:
  Scheduler(const SchedulerLimits& limits, PagePool& pool);

  // Moves waiting sequences to running while there is room.
  void admit(std::deque<std::unique_ptr<Sequence>>& waiting,
             std::vector<std::unique_ptr<Sequence>>& running);
  // The pages of a sequence that ended are free again, or kept for its conversation.
  void release(Sequence& sequence);

  // Grows or rewinds the caches of those that take part and fills the batch.
  std::span<const Scheduled> plan(std::span<const std::unique_ptr<Sequence>> running, Batch& batch);

 private:
  void attach_cache(Sequence& sequence);
  void schedule(Sequence& sequence, Work work, int32_t n_rows, Batch& batch);

  SchedulerLimits limits_;
  PagePool& pool_;
  PrefixCache prefixes_;
  int64_t reserved_pages_ = 0;  // of running sequences
  std::vector<Scheduled> scheduled_;
};

}  // namespace tidal
