// Branches: one prompt read once, then continued by several methods side by side.
//
// prefill() reads the prompt by full attention; fork() gives every method its own sequence sharing
// the prompt's pages of the cache; decode() feeds one token to each of the named branches, all in
// one batch, so that a sweep over many methods reads the weights once per token. A branch computes
// what it would alone. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "runtime/runtime.h"
#include "runtime/sequence.h"

namespace tidal {

class Branches {
 public:
  // Room for prompts of max_prompt tokens and max_branches continuations of max_decoded each.
  Branches(std::shared_ptr<const Model> model, const EngineOptions& options, int32_t max_branches,
           int64_t max_prompt, int64_t max_decoded);

  // Starts a new prompt; earlier branches are dropped. Returns the logits after its last token:
  // [vocab_size], valid until the next call.
  std::span<const float> prefill(std::span<const int32_t> tokens, const Progress& progress = {});
  // Extends the prompt, or cuts it to its first `length` tokens. Earlier branches are dropped.
  std::span<const float> append(std::span<const int32_t> tokens, const Progress& progress = {});
  void truncate(int64_t length);
  // One branch per method, all at the end of the prompt; earlier branches are dropped.
  void fork(std::span<const std::shared_ptr<const AttentionMethod>> methods);

  struct Step {
    int32_t branch = 0;
    int32_t token = 0;
  };
  // One token for each named branch, no branch twice; logits in that order: [n, vocab_size], valid
  // until the next call.
  std::span<const float> decode(std::span<const Step> steps);

  int32_t count() const { return static_cast<int32_t>(branches_.size()); }
  RowsReport rows(int32_t branch) const { return at(branch).rows(); }
  int64_t corrections(int32_t branch) const { return at(branch).corrections(); }
  const Model& model() const { return runtime_.model(); }

 private:
  const Sequence& at(int32_t branch) const { return branches_.at(static_cast<size_t>(branch)); }

  Runtime runtime_;
  Sequence prompt_;
  std::vector<Sequence> branches_;
  std::vector<Sequence*> stepping_;
};

}  // namespace tidal
