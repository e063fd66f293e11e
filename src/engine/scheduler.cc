#include "engine/scheduler.h"

#include <algorithm>

#include "base/check.h"

namespace tidal {

Scheduler::Scheduler(const SchedulerLimits& limits, Runtime& runtime)
    : limits_(limits),
      runtime_(runtime),
      prefixes_(runtime.pool()),
      headroom_(std::min(kMostHeadroom, runtime.pool().n_pages() * kPageRows /
                                            (int64_t{2} * limits.max_sequences))) {
  scheduled_.reserve(static_cast<size_t>(limits.max_sequences));
  corrections_.reserve(static_cast<size_t>(limits.max_sequences));
}

// What it will take to read all that is queued and to go on for a while.
int64_t Scheduler::pages_ahead(const Running& running) const {
  const Sequence& sequence = *running.sequence;
  const int64_t more = std::min(headroom_, running.max_length - sequence.length());
  return sequence.pages_to_grow(std::max<int64_t>(0, more));
}

SequenceKv Scheduler::find_rows(const Applicant& applicant) {
  PagePool& pool = runtime_.pool();
  const int64_t most = pool.n_pages() * kPageRows;
  if (applicant.salt == nullptr) return {pool, most};
  return prefixes_.find(*applicant.salt, applicant.prompt.first(applicant.prompt.size() - 1), most);
}

bool Scheduler::has_room(const Demand& demand, std::span<const Running> running) const {
  int64_t pages = demand.pages;
  for (const Running& other : running) pages += pages_ahead(other);
  if (pages > runtime_.pool().free_pages() + demand.evictable) return false;
  return runtime_.has_memory_for_pages(std::max<int64_t>(0, pages - demand.evictable));
}

std::optional<SequenceKv> Scheduler::admit(const Applicant& applicant,
                                           std::span<const Running> running) {
  if (std::ssize(running) == limits_.max_sequences) return std::nullopt;
  if (running.empty()) return find_rows(applicant);  // any request fits alone
  const PagePool& pool = runtime_.pool();
  const bool known =
      refused_ && refused_->id == applicant.id && refused_->changes == pool.changes();
  if (known && !has_room(*refused_, running)) return std::nullopt;
  std::optional<SequenceKv> rows = find_rows(applicant);
  const int64_t length = std::min(applicant.n_tokens + headroom_, applicant.max_length);
  Demand demand{.id = applicant.id,
                .pages = rows->pages_needed(length - rows->length()),
                .evictable = prefixes_.evictable_pages()};
  if (has_room(demand, running)) return rows;
  rows.reset();
  demand.changes = pool.changes();
  refused_ = demand;
  return std::nullopt;
}

void Scheduler::keep(const std::string& salt, const Sequence& sequence) {
  prefixes_.insert(salt, sequence.tokens().first(static_cast<size_t>(sequence.exact())),
                   sequence.kv());
}

// Decoding and verifying sequences in front, then corrections, then the prompt.
void Scheduler::choose(std::span<const Running> running, int32_t prompt_rows) {
  scheduled_.clear();
  corrections_.clear();
  int32_t correction_rows = limits_.prefill_chunk;
  int32_t draft_rows = kDraftRows;
  std::optional<size_t> prompt;
  int64_t least = 0;
  for (size_t i = 0; i < running.size(); ++i) {
    const Sequence& sequence = *running[i].sequence;
    const Work work = sequence.next(limits_.prefill_chunk);
    if (work.kind == WorkKind::kDecode) {
      scheduled_.push_back({i, work});
    } else if (work.kind == WorkKind::kVerify && work.n_rows - 1 <= draft_rows) {
      draft_rows -= work.n_rows - 1;
      scheduled_.push_back({i, work});
    } else if (work.kind == WorkKind::kCorrect && work.n_rows <= correction_rows) {
      correction_rows -= work.n_rows;
      corrections_.push_back({i, work});
    } else if (work.kind == WorkKind::kPrompt) {
      const int64_t key = sequence.length() - sequence.cached() + running[i].since;
      if (prompt.has_value() && key >= least) continue;
      least = key;
      prompt = i;
    }
  }
  scheduled_.insert(scheduled_.end(), corrections_.begin(), corrections_.end());
  if (prompt.has_value()) {
    scheduled_.push_back({*prompt, running[*prompt].sequence->next(prompt_rows)});
  }
}

// Kept pages become free ones, which leaves no more room for a request that was refused.
bool Scheduler::evict() {
  const PagePool& pool = runtime_.pool();
  const bool known = refused_ && refused_->changes == pool.changes();
  const int64_t free_before = pool.free_pages();
  if (!prefixes_.evict()) return false;
  if (known) {
    refused_->evictable -= pool.free_pages() - free_before;
    refused_->changes = pool.changes();
  }
  return true;
}

// Memory and pages for so many more; false when there are too few even without kept rows.
bool Scheduler::make_room(int64_t n_pages) {
  while (runtime_.pool().free_pages() < n_pages || !runtime_.has_memory_for_pages(n_pages)) {
    if (!evict()) return false;
  }
  return true;
}

std::optional<std::span<const Scheduled>> Scheduler::plan(std::span<const Running> running,
                                                          int32_t prompt_rows, Batch& batch) {
  batch.clear();
  choose(running, prompt_rows);
  int64_t pages = 0;
  for (const Scheduled& part : scheduled_) {
    pages += running[part.index].sequence->pages_needed(part.work);
  }
  if (!make_room(pages)) return std::nullopt;
  int32_t logits_row = 0;
  for (Scheduled& part : scheduled_) {
    const Running& one = running[part.index];
    const bool scheduled = one.sequence->schedule(part.work, batch, one.stop);
    TIDAL_CHECK(scheduled, "room was made for {} pages", pages);
    part.logits_row = logits_row;
    logits_row += part.work.logit_rows();
    if (part.work.kind == WorkKind::kPrompt) prompt_rows_ += part.work.n_rows;
  }
  return scheduled_;
}

}  // namespace tidal
