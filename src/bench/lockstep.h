// Lockstep: n sequences of equal length that decode one token each per step, and caches that can be
// filled without running a prompt. What benchmarks step.
//
// Several contenders, each with its own method, continue the same caches: the rows up to where they
// entered lie in the same memory for all, so disturbances of the machine affect all alike. The back
// end must outlive it. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "kv/sequence_kv.h"
#include "runtime/runtime.h"
#include "runtime/sequence.h"
#include "tidal/options.h"

namespace tidal {

// One method's side of the participating sequences.
struct Contender {
  std::vector<Sequence> sequences;
  int32_t drafts = 0;  // verified in each step

  const AttentionMethod& method() const { return sequences.front().method(); }
  RowsRead rows_read() const;  // of all sequences
  RowsReport rows() const;
};

struct LockstepLimits {
  int32_t n_sequences = 1;
  int64_t max_filled = 0;      // tokens of a sequence's cache, and of a prompt
  int64_t max_decoded = 0;     // tokens of a contender after them
  int32_t max_contenders = 1;  // at the same time
  int32_t max_drafts = 0;      // that a lossless contender verifies in a step
};

class Lockstep {
 public:
  // Cache types and prompt chunk come from the options.
  Lockstep(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
           const LockstepLimits& limits);

  // The first n sequences, by this method, from the current end of the caches. A contender must be
  // destroyed before the caches are filled further or cut. A lossless one verifies method.drafts
  // drafts in each step, and takes none of them.
  Contender enter(int32_t n, const MethodOptions& method);
  // Decodes one token each; returns the logits after them and after their drafts, [n * (1 +
  // drafts), vocab_size], valid until the next call.
  std::span<const float> decode(Contender& contender, int32_t token);
  // Undoes the contender's last token.
  void step_back(Contender& contender);
  // Reads a prompt by full attention and forgets it; the caches must be empty. progress(tokens
  // done, tokens in total); if it returns false, prefill() stops and returns false.
  bool prefill(std::span<const int32_t> tokens,
               const std::function<bool(int64_t done, int64_t total)>& progress = {});

  // Forgets all but the first `length` rows of every cache.
  void truncate(int64_t length);
  // Fills every cache up to `depth` tokens with seeded rows, a few of which score far above the
  // rest, as in a real context. progress(rows done, rows in total); if it returns false, fill()
  // stops and returns false.
  bool fill(int64_t depth, uint64_t seed,
            const std::function<bool(int64_t done, int64_t total)>& progress);

  const Model& model() const { return runtime_.model(); }
  int64_t length() const { return caches_.front().length(); }
  KvView cache(int32_t sequence, int32_t layer) const {
    return caches_[static_cast<size_t>(sequence)].view(layer);
  }

 private:
  Runtime runtime_;
  std::vector<SequenceKv> caches_;
  std::vector<Sequence*> stepping_;
  Batch batch_;
};

}  // namespace tidal
