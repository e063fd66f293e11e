#include "engine/request_loop.h"

#include <fmt/format.h>

#include <algorithm>
#include <new>
#include <utility>

#include "base/check.h"
#include "base/quote.h"
#include "engine/sampling.h"
#include "runtime/logprobs.h"
#include "runtime/not_numbers.h"

namespace tidal {

using Clock = ActiveRequest::Clock;

RequestLoop::RequestLoop(const SchedulerLimits& limits, Runtime& runtime,
                         const Tokenizer& tokenizer, Inbox& inbox)
    : limits_(limits),
      runtime_(runtime),
      tokenizer_(tokenizer),
      inbox_(inbox),
      scheduler_(limits, runtime),
      budget_(limits.prefill_chunk),
      speculation_(tokenizer) {
  const auto sequences = static_cast<size_t>(limits.max_sequences);
  batch_.tokens.reserve(static_cast<size_t>(limits.max_rows()));
  batch_.sequences.reserve(sequences);
  running_.reserve(sequences);
  sequences_.reserve(sequences);
}

RequestLoop::~RequestLoop() {
  Inbox::Mail mail = inbox_.take();
  for (const auto& request : running_) finish(*request, FinishReason::kCancelled);
  for (const auto& request : waiting_) finish(*request, FinishReason::kCancelled);
  for (const auto& request : mail.requests) finish(*request, FinishReason::kCancelled);
}

bool RequestLoop::step() {
  take_mail();
  admit();
  speculation_.direct(running_);
  const std::span<const Scheduled> scheduled = plan();
  if (scheduled.empty()) return !idle();
  const Clock::time_point start = mark_started(scheduled);
  const std::span<const float> logits = runtime_.forward(batch_);
  const size_t n_run = batch_.sequences.size();  // those behind were stopped
  if (n_run == scheduled.size()) measure(scheduled, Clock::now() - start);
  for (const Scheduled& part : scheduled.first(n_run)) {
    commit_or_end(*running_[part.index], part, logits);
  }
  std::erase_if(running_, [](const auto& request) { return !request->sequence.has_value(); });
  return true;
}

void RequestLoop::take_mail() {
  Inbox::Mail mail = inbox_.take();
  for (auto& request : mail.requests) waiting_.push_back(std::move(request));
  for (const RequestId id : mail.cancelled) cancel(id);
}

void RequestLoop::cancel(RequestId id) {
  const auto cancel_in = [&](auto& list) {
    const auto found = std::ranges::find(list, id, &ActiveRequest::id_of);
    if (found == list.end()) return;
    finish(**found, FinishReason::kCancelled);
    list.erase(found);
  };
  cancel_in(running_);
  cancel_in(waiting_);
}

// In order, but for those that gain by waiting until what they share with another is read.
void RequestLoop::admit() {
  for (auto next = waiting_.begin(); next != waiting_.end();) {
    ActiveRequest& request = **next;
    if (shares_what_is_being_read(request)) {
      ++next;
      continue;
    }
    const Applicant applicant{.id = request.id,
                              .salt = request.wants_prompt_logprobs() ? nullptr : request.salt(),
                              .prompt = request.request.prompt,
                              .n_tokens = request.length(),
                              .max_length = request.max_length};
    std::optional<SequenceKv> rows = scheduler_.admit(applicant, running());
    if (!rows.has_value()) return;
    try {
      start(request, *std::move(rows));
      running_.push_back(std::move(*next));
    } catch (const std::bad_alloc&) {
      end_with(request, "not enough memory for what its method carries");
    } catch (const Error& error) {
      end_with(request, error.what());
    }
    next = waiting_.erase(next);
  }
}

// The next page of this prompt that another reads is this one's too: whoever comes second need not.
bool RequestLoop::shares_what_is_being_read(const ActiveRequest& next) const {
  if (next.salt() == nullptr) return false;
  const std::span<const int32_t> prompt = next.request.prompt;
  return std::ranges::any_of(running_, [&](const auto& other) {
    const int64_t cached = other->sequence->cached();
    const int64_t page_end = (cached / kPageRows + 1) * kPageRows;
    if (other->salt() == nullptr || *other->salt() != *next.salt()) return false;
    if (page_end > other->n_prompt() || page_end >= next.n_prompt()) return false;
    const auto n = static_cast<size_t>(page_end);
    return std::ranges::equal(prompt.first(n), std::span(other->request.prompt).first(n));
  });
}

void RequestLoop::start(ActiveRequest& request, SequenceKv rows) {
  const std::span<const int32_t> prompt = request.request.prompt;
  const int64_t reused = rows.length();
  const auto first = static_cast<size_t>(reused);
  AttentionShape shape = runtime_.decoder().attention_shape();
  shape.max_length = request.max_length;
  request.sequence.emplace(request.method, shape, std::move(rows), prompt.first(first));
  if (request.wants_prompt_logprobs()) {
    request.completion.prompt_logprobs.clear();
    request.sequence->ask_for_prompt_logits();
  }
  if (request.drafting) request.sequence->make_lossless();
  request.sequence->enqueue(prompt.subspan(first));
  for (const int32_t token : request.completion.tokens) request.sequence->enqueue(token);
  if (request.since >= 0) return;  // it was paused
  request.since = scheduler_.prompt_rows();
  request.completion.reused_tokens = reused;
  if (request.salt() != nullptr) request.completion.reuse_note = reuse_note(request, reused);
  stats_.reused_tokens += reused;
  request.call(request.request.on_prefill, reused, request.n_prompt());
}

// Where reuse of the prompt ended and why; nothing when all of it was reused that could be.
std::string RequestLoop::reuse_note(const ActiveRequest& request, int64_t reused) const {
  const std::span<const int32_t> prompt = request.request.prompt;
  const int64_t n = std::ssize(prompt);
  if (reused == (n - 1) / kPageRows * kPageRows) return {};
  if (request.wants_prompt_logprobs()) return "log-probabilities of the prompt need all its rows";
  const int64_t common = scheduler_.common(*request.salt(), prompt);
  if (common == 0) return "no cached text begins alike";
  if (common == n) return fmt::format("rows of the last {} tokens are not cached", n - reused);
  const int64_t before = std::min<int64_t>(common, 4);
  const int64_t after = std::min<int64_t>(n - common, 8);
  const auto part = [&](int64_t first, int64_t count) {
    return tokenizer_.decode(prompt.subspan(static_cast<size_t>(first), static_cast<size_t>(count)),
                             /*keep_special=*/true);
  };
  return fmt::format("differs from cached texts at token {} of {}, behind {}: {}", common, n,
                     quote(part(common - before, before)), quote(part(common, after)));
}

std::span<const Running> RequestLoop::running() {
  sequences_.clear();
  for (const auto& request : running_) {
    sequences_.push_back({.sequence = &*request->sequence,
                          .max_length = request->max_length,
                          .since = request->since,
                          .stop = request->stop_flag.get()});
  }
  return sequences_;
}

std::span<const Scheduled> RequestLoop::plan() {
  while (!running_.empty()) {
    const auto reads = [](const auto& r) { return r->sequence->cached() < r->n_prompt(); };
    const auto n_reading = static_cast<int32_t>(std::ranges::count_if(running_, reads));
    const int32_t others = static_cast<int32_t>(running_.size()) - n_reading;
    const std::optional<std::span<const Scheduled>> scheduled =
        scheduler_.plan(running(), budget_.rows(others), batch_);
    if (scheduled.has_value()) return *scheduled;
    make_way();
  }
  return {};
}

// Takes the youngest out of the cache; one that is alone has what there is, and ends.
void RequestLoop::make_way() {
  const auto youngest = std::ranges::max_element(running_, {}, &ActiveRequest::id_of);
  ActiveRequest& request = **youngest;
  if (running_.size() == 1) {
    try {
      const Work work = request.sequence->next(limits_.prefill_chunk);
      runtime_.require_pages(request.sequence->pages_needed(work));
    } catch (const Error& error) {
      end_with(request, error.what());
      running_.clear();
    }
    return;
  }
  keep(request);
  if (request.drafting) Speculation::settle(request);
  request.sequence.reset();
  ++stats_.paused;
  const auto place = std::ranges::upper_bound(waiting_, request.id, {}, &ActiveRequest::id_of);
  waiting_.insert(place, std::move(*youngest));
  running_.erase(youngest);
}

Clock::time_point RequestLoop::mark_started(std::span<const Scheduled> scheduled) {
  const Clock::time_point now = Clock::now();
  for (const Scheduled& part : scheduled) {
    ActiveRequest& request = *running_[part.index];
    if (request.started == Clock::time_point{}) request.started = now;
  }
  return now;
}

void RequestLoop::measure(std::span<const Scheduled> scheduled, Clock::duration duration) {
  int32_t prompt_rows = 0;
  int32_t others = 0;
  for (const Scheduled& part : scheduled) {
    if (part.work.kind == WorkKind::kPrompt) {
      prompt_rows += part.work.n_rows;
    } else {
      ++others;
    }
  }
  const double seconds = std::chrono::duration<double>(duration).count();
  budget_.measured(prompt_rows, others, seconds);
  speculation_.measured(running_, scheduled, seconds);
  stats_.prompt_tokens += prompt_rows;
}

void RequestLoop::commit_or_end(ActiveRequest& request, const Scheduled& part,
                                std::span<const float> logits) {
  try {
    commit(request, part, logits);
  } catch (const std::exception& error) {
    if (request.sequence.has_value()) end_with(request, error.what());
  }
}

// Takes what came of a sequence's rows.
void RequestLoop::commit(ActiveRequest& request, const Scheduled& part,
                         std::span<const float> logits) {
  Sequence& sequence = *request.sequence;
  sequence.commit(part.work);
  if (part.work.kind == WorkKind::kPrompt) {
    keep(request);
    request.call(request.request.on_prefill, sequence.cached(), request.n_prompt());
  }
  if (!request.callback_error.empty()) return finish(request, FinishReason::kError);
  if (part.work.all_logits) take_prompt_logits(request, part, logits);
  if (!part.work.last) return;
  if (part.work.kind == WorkKind::kVerify) return take_verified(request, part, logits);
  const int32_t row = part.logits_row + part.work.logit_rows() - 1;
  if (request.drafting && part.work.kind == WorkKind::kDecode) {
    return speculation_.add_draft(request, logits_of(logits, row));
  }
  take_logits(request, logits_of(logits, row));
}

// Full attention's logits behind a token and its drafts: each says whether the next draft was
// right.
void RequestLoop::take_verified(ActiveRequest& request, const Scheduled& part,
                                std::span<const float> logits) {
  Speculation::settle(request);
  for (int32_t i = 0; i < part.work.logit_rows(); ++i) {
    const bool drafted = request.sequence->n_drafts() > 0;
    const bool right = take_logits(request, logits_of(logits, part.logits_row + i));
    if (drafted) speculation_.judge(request, right);
    if (!right) return;
  }
}

std::span<const float> RequestLoop::logits_of(std::span<const float> logits, int32_t row) const {
  const auto vocab = static_cast<size_t>(runtime_.model().config().vocab_size);
  return logits.subspan(static_cast<size_t>(row) * vocab, vocab);
}

void RequestLoop::take_prompt_logits(ActiveRequest& request, const Scheduled& part,
                                     std::span<const float> logits) {
  const int64_t first = request.sequence->cached() - part.work.n_rows;
  for (int64_t i = 0; i < part.work.n_rows && first + i + 1 < request.n_prompt(); ++i) {
    const int32_t next = request.request.prompt[static_cast<size_t>(first + i + 1)];
    const auto row = static_cast<int32_t>(part.logits_row + i);
    request.completion.prompt_logprobs.push_back(
        log_probabilities(logits_of(logits, row), next, request.request.logprobs));
  }
}

// The next token. True if it was drafted and is there already.
bool RequestLoop::take_logits(ActiveRequest& request, std::span<const float> logits) {
  if (request.first_token == Clock::time_point{}) request.first_token = Clock::now();
  if (has_nan(logits)) {
    end_with(request,
             not_numbers_message(runtime_.model().path(),
                                 fmt::format("after {} tokens", request.sequence->length())));
    return false;
  }
  const int32_t token = draw(request, logits);
  if (token < 0 || ends_text(request, tokenizer_, token)) {
    const std::vector<int32_t>& stops = request.request.stop_tokens;
    if (std::ranges::find(stops, token) != stops.end()) request.completion.stop_token = token;
    finish(request, FinishReason::kStop);
    return false;
  }
  const bool drafted = request.sequence->take(token);
  request.completion.tokens.push_back(token);
  if (request.drafting) speculation_.count_token(request);
  if (request.request.logprobs >= 0) {
    const int32_t n_top = request.request.logprobs;
    request.completion.logprobs.push_back(request.request.sampled_logprobs
                                              ? request.sampler.log_probabilities(token, n_top)
                                              : log_probabilities(logits, token, n_top));
  }
  ++stats_.generated_tokens;
  request.emit(token, request.stop.push(request.decoder.push(token), request.may_stop()));
  if (request.stop.matched()) {
    finish(request, FinishReason::kStop);
  } else if (!request.callback_error.empty()) {
    finish(request, FinishReason::kError);
  } else if (request.length() >= request.max_length) {
    finish(request, FinishReason::kLength);
  }
  return drafted && request.sequence.has_value();
}

void RequestLoop::keep(const ActiveRequest& request) {
  if (request.salt() != nullptr) scheduler_.keep(*request.salt(), *request.sequence);
}

void RequestLoop::end_with(ActiveRequest& request, std::string error) {
  request.completion.error = std::move(error);
  finish(request, FinishReason::kError);
}

void RequestLoop::finish(ActiveRequest& request, FinishReason reason) {
  if (request.sequence.has_value()) {
    keep(request);
    request.sequence->drop_drafts();
  }
  inbox_.forget(request.id);
  request.finish(reason);
  const Completion& completion = request.completion;
  ++stats_.finished[static_cast<size_t>(completion.finish_reason)];
  stats_.rows.read += completion.rows.read;
  stats_.rows.total += completion.rows.total;
}

EngineStats RequestLoop::stats() const {
  EngineStats stats = stats_;
  const PagePool& pool = runtime_.pool();
  stats.running = std::ssize(running_);
  stats.waiting = std::ssize(waiting_);
  stats.cache_tokens = pool.n_pages() * kPageRows;
  stats.cached_tokens = (pool.n_pages() - pool.free_pages()) * kPageRows;
  stats.kept_tokens = scheduler_.kept_pages() * kPageRows;
  return stats;
}

void RequestLoop::describe(std::vector<RequestInfo>& requests) const {
  requests.clear();
  for (const auto& request : running_) {
    requests.push_back({.id = request->id,
                        .prompt_tokens = request->n_prompt(),
                        .reused_tokens = request->completion.reused_tokens,
                        .cached_tokens = request->sequence->cached(),
                        .generated_tokens = std::ssize(request->completion.tokens)});
  }
}

}  // namespace tidal
