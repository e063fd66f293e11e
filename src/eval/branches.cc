#include "eval/branches.h"

#include "base/check.h"

namespace tidal {
namespace {

// Each branch copies the prompt's last page when it writes into it.
RuntimeLimits limits(int32_t max_branches, int64_t max_prompt, int64_t max_decoded) {
  TIDAL_CHECK(max_branches >= 1 && max_prompt >= 1 && max_decoded >= 0);
  return {.max_sequences = max_branches,
          .max_length = max_prompt + max_decoded,
          .n_pages = pages_of(max_prompt) + max_branches * (pages_of(max_decoded) + 1)};
}

}  // namespace

Branches::Branches(std::shared_ptr<const Model> model, const EngineOptions& options,
                   int32_t max_branches, int64_t max_prompt, int64_t max_decoded)
    : runtime_(std::move(model), options, limits(max_branches, max_prompt, max_decoded)),
      prompt_(runtime_.sequence(runtime_.full_attention())) {}

std::span<const float> Branches::prefill(std::span<const int32_t> tokens,
                                         const Progress& progress) {
  truncate(0);
  return append(tokens, progress);
}

std::span<const float> Branches::append(std::span<const int32_t> tokens, const Progress& progress) {
  TIDAL_CHECK(!tokens.empty());
  branches_.clear();
  prompt_.enqueue(tokens);
  return runtime_.run(prompt_, progress);
}

void Branches::truncate(int64_t length) {
  branches_.clear();
  prompt_.rewind(length);
}

void Branches::fork(std::span<const std::shared_ptr<const AttentionMethod>> methods) {
  branches_.clear();
  branches_.reserve(methods.size());
  for (const auto& method : methods) branches_.push_back(prompt_.fork(method));
}

std::span<const float> Branches::decode(std::span<const Step> steps) {
  stepping_.clear();
  for (const Step& step : steps) {
    stepping_.push_back(&branches_.at(static_cast<size_t>(step.branch)));
    stepping_.back()->enqueue(step.token);
  }
  return runtime_.run(stepping_);
}

}  // namespace tidal
