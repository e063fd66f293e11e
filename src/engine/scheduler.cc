#include "engine/scheduler.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace tidal {

Scheduler::Scheduler(const SchedulerLimits& limits, PagePool& pool) : limits_(limits), pool_(pool) {
  scheduled_.reserve(static_cast<size_t>(limits.max_sequences));
}

void Scheduler::admit(std::deque<std::unique_ptr<Sequence>>& waiting,
                      std::vector<std::unique_ptr<Sequence>>& running) {
  while (!waiting.empty() && running.size() < static_cast<size_t>(limits_.max_sequences)) {
    Sequence& next = *waiting.front();
    const int64_t pages = (next.max_length + kPageRows - 1) / kPageRows;
    if (reserved_pages_ + pages > pool_.n_pages()) return;
    reserved_pages_ += pages;
    next.pages_reserved = pages;
    attach_cache(next);
    running.push_back(std::move(waiting.front()));
    waiting.pop_front();
  }
}

void Scheduler::attach_cache(Sequence& sequence) {
  const uint64_t conversation = sequence.request.conversation;
  if (conversation != 0) {
    std::optional<SequenceKv> prefix = prefixes_.take(conversation, sequence.tokens);
    if (prefix.has_value()) sequence.kv.emplace(*std::move(prefix));
  }
  if (!sequence.kv.has_value()) sequence.kv.emplace(pool_, pool_.n_pages() * kPageRows);
  sequence.completion.reused_tokens = sequence.kv->length();
}

void Scheduler::release(Sequence& sequence) {
  const uint64_t conversation = sequence.request.conversation;
  if (conversation != 0 && sequence.kv.has_value() && sequence.kv->length() >= sequence.n_prompt) {
    sequence.kv->truncate(sequence.n_prompt);
    sequence.tokens.resize(static_cast<size_t>(sequence.n_prompt));
    prefixes_.put(conversation, std::move(sequence.tokens), *std::move(sequence.kv));
  }
  sequence.kv.reset();
  reserved_pages_ -= std::exchange(sequence.pages_reserved, 0);
}

std::span<const Scheduled> Scheduler::plan(std::span<const std::unique_ptr<Sequence>> running,
                                           Batch& batch) {
  batch.clear();
  scheduled_.clear();
  int32_t correction_rows = limits_.prefill_chunk;
  bool prompt_chunk_free = true;
  for (const std::unique_ptr<Sequence>& sequence : running) {
    const Work work = sequence->next_work();
    if (work == Work::kDecode) {
      schedule(*sequence, work, 1, batch);
    } else if (work == Work::kCorrect && sequence->since_correction <= correction_rows) {
      correction_rows -= sequence->since_correction;
      schedule(*sequence, work, sequence->since_correction, batch);
    } else if (work == Work::kPrefill && prompt_chunk_free) {
      prompt_chunk_free = false;
      const int64_t left = sequence->n_prompt - sequence->kv->length();
      schedule(*sequence, work,
               static_cast<int32_t>(std::min<int64_t>(left, limits_.prefill_chunk)), batch);
    }
  }
  return scheduled_;
}

void Scheduler::schedule(Sequence& sequence, Work work, int32_t n_rows, Batch& batch) {
  SequenceKv& kv = *sequence.kv;
  if (work == Work::kCorrect) {
    kv.truncate(kv.length() - n_rows);
    sequence.state.truncate(kv.length());
  }
  const int64_t first = kv.length();
  bool grown = kv.grow(n_rows);
  while (!grown && prefixes_.drop_oldest()) grown = kv.grow(n_rows);
  TIDAL_CHECK(grown, "pages were set aside at admission");
  const bool last_of_prompt = first + n_rows == sequence.n_prompt;
  const auto begin = sequence.tokens.begin() + first;
  batch.tokens.insert(batch.tokens.end(), begin, begin + n_rows);
  batch.sequences.push_back({
      .kv = &kv,
      .first_position = first,
      .n_rows = n_rows,
      .logits = work == Work::kDecode || (work == Work::kPrefill && last_of_prompt)
                    ? LogitRows::kLast
                    : LogitRows::kNone,
      .method = work == Work::kDecode ? sequence.method.get() : nullptr,
      .state = work == Work::kDecode ? &sequence.state : nullptr,
  });
  scheduled_.push_back({&sequence, work, n_rows});
}

}  // namespace tidal
