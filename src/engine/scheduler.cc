#include "engine/scheduler.h"

#include <utility>

#include "base/check.h"

namespace tidal {

Scheduler::Scheduler(const SchedulerLimits& limits, PagePool& pool)
    : limits_(limits), pool_(pool), prefixes_(pool) {
  scheduled_.reserve(static_cast<size_t>(limits.max_sequences));
}

std::optional<SequenceKv> Scheduler::admit(const std::string* salt, std::span<const int32_t> prompt,
                                           int64_t max_length) {
  const int64_t pages = pages_of(max_length);
  if (n_running_ == limits_.max_sequences || reserved_pages_ + pages > pool_.n_pages()) {
    return std::nullopt;
  }
  ++n_running_;
  reserved_pages_ += pages;
  const int64_t most = pool_.n_pages() * kPageRows;
  if (salt == nullptr) return SequenceKv(pool_, most);
  return prefixes_.find(*salt, prompt.first(prompt.size() - 1), most);
}

void Scheduler::keep(const std::string& salt, const Sequence& sequence) {
  prefixes_.insert(salt, sequence.tokens().first(static_cast<size_t>(sequence.exact())),
                   sequence.kv());
}

void Scheduler::release(int64_t max_length) {
  --n_running_;
  reserved_pages_ -= pages_of(max_length);
}

bool Scheduler::takes_part(const Work& work, int32_t& correction_rows, bool& prompt_chunk) const {
  switch (work.kind) {
    case WorkKind::kNone:
      return false;
    case WorkKind::kDecode:
      return true;
    case WorkKind::kPrompt:
      return std::exchange(prompt_chunk, false);
    case WorkKind::kCorrect:
      if (work.n_rows > correction_rows) return false;
      correction_rows -= work.n_rows;
      return true;
  }
  return false;
}

std::span<const Scheduled> Scheduler::plan(std::span<Sequence* const> running, Batch& batch) {
  batch.clear();
  scheduled_.clear();
  int32_t correction_rows = limits_.prefill_chunk;
  bool prompt_chunk = true;
  int32_t logits_row = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    Sequence& sequence = *running[i];
    const Work work = sequence.next(limits_.prefill_chunk);
    if (!takes_part(work, correction_rows, prompt_chunk)) continue;
    bool scheduled = sequence.schedule(work, batch);
    while (!scheduled && prefixes_.evict()) scheduled = sequence.schedule(work, batch);
    TIDAL_CHECK(scheduled, "pages were set aside at admission");
    scheduled_.push_back({i, work, logits_row});
    if (work.last) ++logits_row;
  }
  return scheduled_;
}

}  // namespace tidal
