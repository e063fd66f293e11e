#include "eval/branches.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fail.h"
#include "base/parallel.h"
#include "ops/factory/backend_factory.h"
#include "runtime/model_options.h"

namespace tidal {
namespace {

int64_t pages_of(int64_t rows) { return (rows + kPageRows - 1) / kPageRows; }

}  // namespace

Branches::Branches(std::shared_ptr<const Model> model, const EngineOptions& options,
                   int32_t max_branches, int64_t max_prompt, int64_t max_decoded)
    : chunk_(options.prefill_chunk), capacity_(max_prompt + max_decoded) {
  TIDAL_CHECK(max_branches >= 1 && max_prompt >= 1 && max_decoded >= 0);
  backend_ =
      make_backend(options.backend, options.threads > 0 ? options.threads : default_threads());
  decoder_.emplace(
      std::move(model), *backend_,
      DecoderLimits{std::max(chunk_, max_branches), max_branches, capacity_, max_branches});
  // Each branch copies the prompt's last page when it writes into it.
  const int64_t pages = pages_of(max_prompt) + max_branches * (pages_of(max_decoded) + 1);
  pool_.emplace(decoder_->kv_layout(cache_type(options.k_cache_type, "--cache-type-k"),
                                    cache_type(options.v_cache_type, "--cache-type-v")),
                pages);
}

std::span<const float> Branches::prefill(std::span<const int32_t> tokens,
                                         const Progress& progress) {
  branches_.clear();
  prompt_.reset();
  prompt_.emplace(*pool_, capacity_);
  return append(tokens, progress);
}

std::span<const float> Branches::append(std::span<const int32_t> tokens, const Progress& progress) {
  TIDAL_CHECK(!tokens.empty() && prompt_.has_value());
  branches_.clear();
  std::span<const float> logits;
  for (size_t done = 0; done < tokens.size();) {
    const auto chunk =
        tokens.subspan(done, std::min(tokens.size() - done, static_cast<size_t>(chunk_)));
    const bool last = done + chunk.size() == tokens.size();
    const auto n = static_cast<int32_t>(chunk.size());
    const int64_t first = prompt_->length();
    const bool grown = prompt_->grow(n);
    TIDAL_CHECK(grown, "the capacity of {} tokens is passed", capacity_);
    batch_.clear();
    batch_.tokens.assign(chunk.begin(), chunk.end());
    batch_.sequences.push_back({.kv = &*prompt_,
                                .first_position = first,
                                .n_rows = n,
                                .logits = last ? LogitRows::kLast : LogitRows::kNone});
    logits = decoder_->forward(batch_);
    done += chunk.size();
    if (progress) progress(static_cast<int64_t>(done), static_cast<int64_t>(tokens.size()));
  }
  return logits;
}

void Branches::truncate(int64_t length) {
  TIDAL_CHECK(prompt_.has_value());
  branches_.clear();
  prompt_->truncate(length);
}

void Branches::fork(std::span<const std::shared_ptr<const AttentionMethod>> methods) {
  TIDAL_CHECK(prompt_.has_value() && std::ssize(methods) <= decoder_->limits().max_sequences);
  branches_.clear();
  AttentionShape shape = decoder_->attention_shape();
  shape.max_length = capacity_;
  for (const auto& method : methods) {
    if (method->correct_every() > chunk_) {
      fail(ErrorCode::kInvalidArgument, "--correct-every {} is above the prefill chunk of {}",
           method->correct_every(), chunk_);
    }
    branches_.push_back({prompt_->fork(), method, method->make_state(shape, *pool_), {}, 0});
  }
}

std::span<const float> Branches::decode(std::span<const Step> steps) {
  for (const Step& step : steps) {
    Branch& branch = branches_.at(static_cast<size_t>(step.branch));
    const int32_t stride = branch.method->correct_every();
    if (stride > 0 && std::ssize(branch.uncorrected) >= stride) correct(branch);
  }
  batch_.clear();
  for (const Step& step : steps) {
    Branch& branch = branches_.at(static_cast<size_t>(step.branch));
    const int64_t position = branch.kv.length();
    const bool grown = branch.kv.grow(1);
    TIDAL_CHECK(grown, "the capacity of {} tokens is passed", capacity_);
    if (branch.method->correct_every() > 0) branch.uncorrected.push_back(step.token);
    batch_.tokens.push_back(step.token);
    batch_.sequences.push_back({.kv = &branch.kv,
                                .first_position = position,
                                .n_rows = 1,
                                .method = branch.method.get(),
                                .state = &branch.state});
  }
  return decoder_->forward(batch_);
}

// As Session::correct: rows written by sparse steps become what full attention writes.
void Branches::correct(Branch& branch) {
  const auto n = static_cast<int32_t>(branch.uncorrected.size());
  const int64_t first = branch.kv.length() - n;
  branch.kv.truncate(first);
  branch.state.truncate(first);
  const bool grown = branch.kv.grow(n);
  TIDAL_CHECK(grown);
  batch_.clear();
  batch_.tokens = branch.uncorrected;
  batch_.sequences.push_back(
      {.kv = &branch.kv, .first_position = first, .n_rows = n, .logits = LogitRows::kNone});
  decoder_->forward(batch_);
  branch.uncorrected.clear();
  ++branch.corrections;
}

RowsReport Branches::rows(int32_t branch) const {
  const AttentionState& state = at(branch).state;
  return {state.rows.k + state.rows.v, 2 * state.rows_total};
}

}  // namespace tidal
