// Lockstep: n sequences of equal length that decode one token each per step, and caches that can
// be filled without running a prompt. What benchmarks step.
//
// Several contenders, each with a method of its own, take turns on the same caches: what the
// machine does meanwhile falls on all of them. Owns the caches; the back end must outlive it. Not
// thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "attention/method.h"
#include "kv/sequence_kv.h"
#include "model/decoder.h"
#include "tidal/engine.h"
#include "tidal/options.h"

namespace tidal {

// One method's side of the sequences that take part: what it carries from step to step.
struct Contender {
  std::shared_ptr<const AttentionMethod> method;
  std::vector<AttentionState> states;     // [sequences]
  std::vector<int32_t> since_correction;  // tokens decoded since the last correction

  RowsRead rows_read() const;  // of all sequences
  RowsReport rows() const;
};

class Lockstep {
 public:
  // Cache types and prompt chunk of the options; room for `capacity` tokens a sequence.
  Lockstep(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
           int32_t n_sequences, int64_t capacity);

  // The first n sequences, by this method.
  Contender enter(int32_t n, const MethodOptions& method);
  // One token for each; the logits after them: [n, vocab_size], valid until the next call. Corrects
  // the caches every correct_every() tokens, as the engine does.
  std::span<const float> decode(Contender& contender, int32_t token);
  // Takes the contender's last token back: the next one to decode finds the caches as it did.
  void step_back(Contender& contender);
  // A prompt for the first sequence, which must be empty, by full attention.
  std::span<const float> prefill(std::span<const int32_t> tokens);

  // Forgets all but the first `length` tokens of every sequence. Contenders from before are void.
  void truncate(int64_t length);
  // Fills every cache up to `depth` tokens with seeded rows of which a few score far above the
  // rest, as in a real context. progress(rows done, rows in all); false stops, and so does fill().
  bool fill(int64_t depth, uint64_t seed,
            const std::function<bool(int64_t done, int64_t total)>& progress);

  const Model& model() const { return decoder_.model(); }
  int64_t length() const { return kvs_.front().length(); }
  KvView cache(int32_t sequence, int32_t layer) const {
    return kvs_[static_cast<size_t>(sequence)].view(layer);
  }

 private:
  // The same tokens for sequences [first, first + n); by full attention without a contender.
  std::span<const float> forward(std::span<const int32_t> tokens, int32_t first, int32_t n,
                                 LogitRows logits, Contender* contender);
  void correct(Contender& contender);

  Backend& backend_;
  Decoder decoder_;
  PagePool pool_;
  int32_t chunk_;
  std::vector<SequenceKv> kvs_;
  Batch batch_;
};

}  // namespace tidal
