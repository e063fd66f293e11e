#include "runtime/runtime.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/parallel.h"
#include "ops/factory/backend_factory.h"
#include "runtime/model_options.h"

namespace tidal {
namespace {

// Asking for free memory takes a third of a millisecond. An answer holds until this fraction of it
// has been written.
constexpr uint64_t kAssuredPart = 16;

DecoderLimits decoder_limits(const EngineOptions& options, const RuntimeLimits& limits) {
  return {
      .max_rows = limits.max_rows > 0 ? limits.max_rows
                                      : std::max(options.prefill_chunk, limits.max_sequences),
      .max_sequences = limits.max_sequences,
      .max_context = limits.max_length,
      .max_logit_rows = limits.max_logit_rows > 0 ? limits.max_logit_rows : limits.max_sequences};
}

int64_t queued(std::span<Sequence* const> sequences) {
  int64_t rows = 0;
  for (const Sequence* sequence : sequences) rows += sequence->length() - sequence->cached();
  return rows;
}

}  // namespace

Runtime::Runtime(std::shared_ptr<const Model> model, std::unique_ptr<Backend> owned,
                 Backend* backend, const EngineOptions& options, const RuntimeLimits& limits)
    : owned_backend_(std::move(owned)),
      backend_(backend != nullptr ? *backend : *owned_backend_),
      chunk_(options.prefill_chunk),
      decoder_(std::move(model), backend_, decoder_limits(options, limits)),
      pool_(decoder_.kv_layout(cache_type(options.k_cache_type, "k_cache_type"),
                               cache_type(options.v_cache_type, "v_cache_type")),
            limits.n_pages > 0 ? limits.n_pages : pages_of(limits.max_length), backend_.memory()) {
  // A device's memory is taken in one piece when the pool is made.
  if (!backend_.memory().host_addressable()) available_ = [] { return UINT64_MAX; };
  batch_.tokens.reserve(static_cast<size_t>(decoder_.limits().max_rows));
  batch_.sequences.reserve(static_cast<size_t>(limits.max_sequences));
  parts_.reserve(static_cast<size_t>(limits.max_sequences));
}

Runtime::Runtime(std::shared_ptr<const Model> model, const EngineOptions& options,
                 const RuntimeLimits& limits)
    : Runtime(std::move(model), make_backend(options.backend, thread_count(options.threads)),
              nullptr, options, limits) {}

Runtime::Runtime(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
                 const RuntimeLimits& limits)
    : Runtime(std::move(model), nullptr, &backend, options, limits) {}

std::shared_ptr<const AttentionMethod> Runtime::method(const MethodOptions& options) const {
  return method_for(model(), options, pool_.bytes_per_token());
}

std::shared_ptr<const AttentionMethod> Runtime::full_attention() const {
  MethodOptions options;
  options.name = "full";
  return method(options);
}

Sequence Runtime::sequence(std::shared_ptr<const AttentionMethod> method, int64_t max_length) {
  AttentionShape shape = decoder_.attention_shape();
  shape.max_length = max_length;
  return {std::move(method), shape, SequenceKv(pool_, max_length), {}};
}

uint64_t Runtime::bytes_to_fill(int64_t n_pages) const {
  const int64_t fresh = std::max<int64_t>(0, n_pages - written_pages_);
  return static_cast<uint64_t>(fresh) * kPageRows * pool_.bytes_per_token();
}

std::optional<uint64_t> Runtime::too_little_memory(int64_t n_pages) const {
  if (n_pages <= std::max<int64_t>(written_pages_, assured_pages_)) return std::nullopt;
  const uint64_t available = available_();
  const uint64_t assured = available / kAssuredPart / (kPageRows * pool_.bytes_per_token());
  assured_pages_ = written_pages_ + static_cast<int64_t>(assured);
  return bytes_to_fill(n_pages) > available ? std::optional(available) : std::nullopt;
}

void Runtime::require_fill(int64_t n_pages, int64_t n_tokens) const {
  const std::optional<uint64_t> available = too_little_memory(n_pages);
  if (!available.has_value()) return;
  tidal::require_memory(bytes_to_fill(n_pages),
                        fmt::format("filling the KV cache up to {} tokens", n_tokens),
                        "shorten the text, lower `max_tokens` or `context_size`, or choose a "
                        "smaller `k_cache_type` and `v_cache_type`",
                        *available);
}

void Runtime::require_memory(int64_t n_tokens) const { require_fill(pages_of(n_tokens), n_tokens); }

void Runtime::require_pages(int64_t n_pages) const {
  const int64_t all = pages_in_use() + n_pages;
  require_fill(all, all * kPageRows);
}

bool Runtime::has_memory_for_pages(int64_t n_pages) const {
  return !too_little_memory(pages_in_use() + n_pages).has_value();
}

std::span<const float> Runtime::forward(Batch& batch) {
  // Pages that were written before are handed out ahead of untouched ones (PagePool).
  written_pages_ = std::max<int64_t>(written_pages_, pages_in_use());
  return decoder_.forward(batch);
}

std::span<const float> Runtime::run(std::span<Sequence* const> sequences,
                                    const Progress& progress) {
  int64_t n_pages = 0;
  for (const Sequence* sequence : sequences) n_pages += sequence->pages_to_grow();
  require_pages(n_pages);
  const int64_t total = queued(sequences);
  const auto report = [&] {
    if (progress) progress(total - queued(sequences), total);
  };
  const auto unfinished = [&](const Sequence* sequence) {
    const Work work = sequence->next(chunk_);
    return work.kind != WorkKind::kNone && !work.last;
  };
  while (std::ranges::any_of(sequences, unfinished)) {
    run_batch(sequences, /*last=*/false);
    report();
  }
  const std::span<const float> logits = run_batch(sequences, /*last=*/true);
  report();
  return logits;
}

std::span<const float> Runtime::run_batch(std::span<Sequence* const> sequences, bool last) {
  batch_.clear();
  parts_.clear();
  const auto max_sequences = static_cast<size_t>(decoder_.limits().max_sequences);
  int32_t room = decoder_.limits().max_rows;
  for (Sequence* sequence : sequences) {
    const Work work = sequence->next(chunk_);
    if (work.kind == WorkKind::kNone || work.last != last) continue;
    if (!last && (work.n_rows > room || parts_.size() == max_sequences)) continue;
    const bool scheduled = sequence->schedule(work, batch_);
    TIDAL_CHECK(scheduled, "the cache's {} pages are used up", pool_.n_pages());
    parts_.push_back({sequence, work});
    room -= work.n_rows;
  }
  if (parts_.empty()) return {};
  const std::span<const float> logits = forward(batch_);
  for (const Part& part : parts_) part.sequence->commit(part.work);
  return logits;
}

}  // namespace tidal
