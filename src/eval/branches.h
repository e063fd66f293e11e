// Branches: one prompt read once, then continued by several methods side by side.
//
// prefill() runs the prompt as full-attention chunks; fork() gives every method a sequence of its
// own that shares the prompt's pages of the cache; decode() feeds one token to each of the branches
// named, all in one batch, so that a sweep over many methods reads the weights once per token.
// Results do not depend on what else is in the batch (ops/backend.h), so a branch computes what a
// Session of its own would. Corrects the cache as the engine does. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "attention/method.h"
#include "kv/sequence_kv.h"
#include "model/decoder.h"
#include "runtime/session.h"
#include "tidal/options.h"

namespace tidal {

class Branches {
 public:
  // Room for prompts of max_prompt tokens and max_branches continuations of max_decoded each.
  Branches(std::shared_ptr<const Model> model, const EngineOptions& options, int32_t max_branches,
           int64_t max_prompt, int64_t max_decoded);

  // A new prompt, by full attention; earlier branches are dropped. The logits after its last token:
  // [vocab_size], valid until the next call.
  std::span<const float> prefill(std::span<const int32_t> tokens, const Progress& progress = {});
  // More of the prompt, or less: its first `length` tokens. Earlier branches are dropped.
  std::span<const float> append(std::span<const int32_t> tokens, const Progress& progress = {});
  void truncate(int64_t length);
  // A branch per method, all at the end of the prompt; earlier branches are dropped.
  void fork(std::span<const std::shared_ptr<const AttentionMethod>> methods);

  struct Step {
    int32_t branch = 0;
    int32_t token = 0;
  };
  // One token for each branch named, no branch twice; logits in that order: [n, vocab_size], valid
  // until the next call.
  std::span<const float> decode(std::span<const Step> steps);

  int32_t count() const { return static_cast<int32_t>(branches_.size()); }
  RowsReport rows(int32_t branch) const;
  int64_t corrections(int32_t branch) const { return at(branch).corrections; }
  const Model& model() const { return decoder_->model(); }

 private:
  struct Branch {
    SequenceKv kv;
    std::shared_ptr<const AttentionMethod> method;
    AttentionState state;
    std::vector<int32_t> uncorrected;  // tokens decoded since the last correction
    int64_t corrections = 0;
  };

  const Branch& at(int32_t branch) const { return branches_.at(static_cast<size_t>(branch)); }
  void correct(Branch& branch);

  int32_t chunk_;
  int64_t capacity_;
  std::unique_ptr<Backend> backend_;
  std::optional<Decoder> decoder_;
  std::optional<PagePool> pool_;
  std::optional<SequenceKv> prompt_;
  std::vector<Branch> branches_;
  Batch batch_;
};

}  // namespace tidal
