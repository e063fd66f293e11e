#include "runtime/session.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/parallel.h"
#include "ops/factory/backend_factory.h"
#include "runtime/model_options.h"

namespace tidal {

Session::Session(std::shared_ptr<const Model> model, const EngineOptions& options,
                 const MethodOptions& method, int64_t capacity)
    : chunk_(options.prefill_chunk) {
  backend_ = make_backend(options.backend, thread_count(options.threads));
  decoder_.emplace(std::move(model), *backend_, DecoderLimits{chunk_, 1, capacity, 1});
  pool_.emplace(decoder_->kv_layout(cache_type(options.k_cache_type, "--cache-type-k"),
                                    cache_type(options.v_cache_type, "--cache-type-v")),
                (capacity + kPageRows - 1) / kPageRows);
  kv_.emplace(*pool_, capacity);
  tokens_.reserve(static_cast<size_t>(capacity));
  again_.reserve(static_cast<size_t>(chunk_));
  set_method(method);
}

void Session::set_method(const MethodOptions& method) {
  method_ = method_for(model(), method, pool_->bytes_per_token(), chunk_);
  AttentionShape shape = decoder_->attention_shape();
  shape.max_length = kv_->max_length();
  state_ = method_->make_state(shape, *pool_);
  since_correction_ = 0;
  corrections_ = 0;
}

void Session::truncate(int64_t length) {
  kv_->truncate(length);
  state_.truncate(length);
  tokens_.resize(static_cast<size_t>(length));
  since_correction_ = 0;
}

std::span<const float> Session::prefill(std::span<const int32_t> tokens, const Progress& progress) {
  std::span<const float> logits;
  for (size_t done = 0; done < tokens.size();) {
    const size_t n = std::min(tokens.size() - done, static_cast<size_t>(chunk_));
    const bool last = done + n == tokens.size();
    logits = forward(tokens.subspan(done, n), last ? LogitRows::kLast : LogitRows::kNone, false);
    done += n;
    if (progress) progress(static_cast<int64_t>(done), static_cast<int64_t>(tokens.size()));
  }
  return logits;
}

std::span<const float> Session::decode(int32_t token) {
  if (method_->correct_every() > 0 && since_correction_ >= method_->correct_every()) correct();
  ++since_correction_;
  return forward({&token, 1}, LogitRows::kLast, true);
}

// KV cache correction (TidalDecode): the rows written by sparse steps are replaced by what
// full attention writes for the same tokens.
void Session::correct() {
  again_.assign(tokens_.end() - since_correction_, tokens_.end());
  truncate(kv_->length() - since_correction_);
  forward(again_, LogitRows::kNone, false);
  ++corrections_;
}

std::span<const float> Session::forward(std::span<const int32_t> tokens, LogitRows logits,
                                        bool by_method) {
  const int64_t first = kv_->length();
  const auto n = static_cast<int32_t>(tokens.size());
  const bool grown = kv_->grow(n);
  TIDAL_CHECK(grown, "the session's capacity of {} tokens is passed", kv_->max_length());
  tokens_.insert(tokens_.end(), tokens.begin(), tokens.end());
  batch_.clear();
  batch_.tokens.assign(tokens.begin(), tokens.end());
  batch_.sequences.push_back({.kv = &*kv_,
                              .first_position = first,
                              .n_rows = n,
                              .logits = logits,
                              .method = by_method ? method_.get() : nullptr,
                              .state = by_method ? &state_ : nullptr});
  return decoder_->forward(batch_);
}

RowsReport Session::rows() const { return {state_.rows.k + state_.rows.v, 2 * state_.rows_total}; }

}  // namespace tidal
