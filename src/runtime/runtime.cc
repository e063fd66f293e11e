#include "runtime/runtime.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/parallel.h"
#include "ops/factory/backend_factory.h"
#include "runtime/model_options.h"

namespace tidal {
namespace {

DecoderLimits decoder_limits(const EngineOptions& options, const RuntimeLimits& limits) {
  return {.max_rows = limits.max_rows > 0 ? limits.max_rows
                                          : std::max(options.prefill_chunk, limits.max_sequences),
          .max_sequences = limits.max_sequences,
          .max_context = limits.max_length,
          .max_logit_rows = limits.max_sequences};
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
            limits.n_pages > 0 ? limits.n_pages : pages_of(limits.max_length)) {
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

std::span<const float> Runtime::run(std::span<Sequence* const> sequences,
                                    const Progress& progress) {
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
  const std::span<const float> logits = decoder_.forward(batch_);
  for (const Part& part : parts_) part.sequence->commit(part.work);
  return logits;
}

}  // namespace tidal
