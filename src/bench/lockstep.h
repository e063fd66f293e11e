// Lockstep: n sequences of equal length that decode one token each per step, and caches that can
// be filled without running a prompt. What benchmarks step.
//
// Several contenders, each with a method of its own, continue the same caches: the rows up to where
// they entered lie in the same memory for all, so what the machine does meanwhile falls on all of
// them. The back end must outlive it. Not thread-safe.
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

// One method's side of the sequences that take part.
struct Contender {
  std::vector<Sequence> sequences;

  const AttentionMethod& method() const { return sequences.front().method(); }
  RowsRead rows_read() const;  // of all sequences
  RowsReport rows() const;
};

struct LockstepLimits {
  int32_t n_sequences = 1;
  int64_t max_filled = 0;      // tokens of a sequence's cache, and of a prompt
  int64_t max_decoded = 0;     // tokens of a contender behind them
  int32_t max_contenders = 1;  // at the same time
};

class Lockstep {
 public:
  // Cache types and prompt chunk of the options.
  Lockstep(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
           const LockstepLimits& limits);

  // The first n sequences, by this method, from where the caches end now. A contender must end
  // before the caches are filled further or cut.
  Contender enter(int32_t n, const MethodOptions& method);
  // One token for each; the logits after them: [n, vocab_size], valid until the next call.
  std::span<const float> decode(Contender& contender, int32_t token);
  // Takes the contender's last token back.
  void step_back(Contender& contender);
  // Reads a prompt by full attention and forgets it; the caches must be empty. progress(tokens
  // done, tokens in all); false stops, and so does prefill().
  bool prefill(std::span<const int32_t> tokens,
               const std::function<bool(int64_t done, int64_t total)>& progress = {});

  // Forgets all but the first `length` rows of every cache.
  void truncate(int64_t length);
  // Fills every cache up to `depth` tokens with seeded rows of which a few score far above the
  // rest, as in a real context. progress(rows done, rows in all); false stops, and so does fill().
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
