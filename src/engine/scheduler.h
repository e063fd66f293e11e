// Scheduler: which sequences run in the next step, and with which rows.
//
// Every decoding sequence takes part, every due KV cache correction that fits, and one chunk of one
// prompt, the oldest. Sequences are admitted oldest first, each with the pages it can grow to set
// aside: one that was admitted never runs out. Rows that full attention wrote are kept for prompts
// that begin alike, as long as no sequence needs their pages. Not thread-safe; the pool must
// outlive it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "kv/prefix_tree.h"
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

  // Room in the cache for a sequence of up to max_length tokens: with the rows that are kept of the
  // prompt's beginning (all but its last token, which gives logits), as others with this salt left
  // them; nullptr: without. Nothing when it must wait until another is released.
  std::optional<SequenceKv> admit(const std::string* salt, std::span<const int32_t> prompt,
                                  int64_t max_length);
  // Keeps the sequence's exact rows for others with this salt.
  void keep(const std::string& salt, const Sequence& sequence);
  // One that was admitted has ended, or never began.
  void release(int64_t max_length);

  // Gives up kept rows that were used longest ago. False when there are none.
  bool drop_kept_rows() { return prefixes_.evict(); }

  // Puts the rows of those that take part into the batch.
  std::span<const Scheduled> plan(std::span<Sequence* const> running, Batch& batch);

 private:
  bool takes_part(const Work& work, int32_t& correction_rows, bool& prompt_chunk) const;

  SchedulerLimits limits_;
  PagePool& pool_;
  PrefixTree prefixes_;
  int32_t n_running_ = 0;
  int64_t reserved_pages_ = 0;  // of running sequences
  std::vector<Scheduled> scheduled_;
};

}  // namespace tidal
