// Lockstep: n sequences of equal length that decode one token each per step, and caches that can
// be filled without running a prompt. What benchmarks step.
//
// Owns cache and states; the back end must outlive it. Not thread-safe.
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

class Lockstep {
 public:
  // Cache types and prompt chunk of the options; room for `capacity` tokens a sequence.
  Lockstep(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
           int32_t n_sequences, int64_t capacity);

  // The first n sequences take part from now on, by this method; counts start again.
  void start(int32_t n, const MethodOptions& method);
  // One token for each; the logits after them: [n, vocab_size], valid until the next call. Corrects
  // the caches every correct_every() tokens, as the engine does.
  std::span<const float> decode(int32_t token);
  // A prompt for the first sequence, which must be empty, by full attention.
  std::span<const float> prefill(std::span<const int32_t> tokens);

  // Forgets all but the first `length` tokens of every sequence.
  void truncate(int64_t length);
  // Fills every cache up to `depth` tokens with seeded rows of which a few score far above the
  // rest, as in a real context. progress(rows done, rows in all); false stops, and so does fill().
  bool fill(int64_t depth, uint64_t seed,
            const std::function<bool(int64_t done, int64_t total)>& progress);

  const Model& model() const { return decoder_.model(); }
  const AttentionMethod& method() const { return *method_; }
  int64_t length() const { return kvs_.front().length(); }
  KvView cache(int32_t sequence, int32_t layer) const {
    return kvs_[static_cast<size_t>(sequence)].view(layer);
  }
  RowsRead rows_read() const;  // of all that take part
  RowsReport rows() const;

 private:
  std::span<const float> forward(std::span<const int32_t> tokens, int32_t first, int32_t n,
                                 LogitRows logits, bool by_method);
  void correct();

  Backend& backend_;
  Decoder decoder_;
  PagePool pool_;
  int32_t chunk_;
  std::vector<SequenceKv> kvs_;
  std::shared_ptr<const AttentionMethod> method_;
  std::vector<AttentionState> states_;  // of those that take part
  Batch batch_;
  std::vector<int32_t> since_correction_;  // tokens decoded since the last correction
};

}  // namespace tidal
