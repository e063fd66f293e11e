// Session: a runtime with one sequence, fed by hand. The basis of evaluations.
//
// prefill() reads tokens by full attention; decode() feeds one token through the method, correcting
// the cache as Sequence does. Not thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "runtime/runtime.h"
#include "runtime/sequence.h"

namespace tidal {

class Session {
 public:
  // Room for `capacity` tokens.
  Session(std::shared_ptr<const Model> model, const EngineOptions& options,
          const MethodOptions& method, int64_t capacity)
      : runtime_(std::move(model), options, {.max_length = capacity}),
        sequence_(runtime_.sequence(runtime_.method(method))) {}

  // The logits after the last token: [vocab_size], valid until the next call.
  std::span<const float> prefill(std::span<const int32_t> tokens, const Progress& progress = {}) {
    sequence_.enqueue(tokens);
    return runtime_.run(sequence_, progress);
  }
  std::span<const float> decode(int32_t token) {
    sequence_.enqueue(token);
    return runtime_.run(sequence_);
  }
  // Forgets all but the first `length` tokens.
  void truncate(int64_t length) { sequence_.rewind(length); }

  // Shows every layer's attention, that of prompts included, to the observer (model/decoder.h);
  // null: to nobody.
  void observe(AttentionObserver* observer) { runtime_.decoder().observe(observer); }

  Backend& backend() { return runtime_.backend(); }
  const Model& model() const { return runtime_.model(); }
  KvView cache(int32_t layer) const { return sequence_.kv().view(layer); }
  int64_t length() const { return sequence_.length(); }
  const AttentionMethod& method() const { return sequence_.method(); }
  RowsReport rows() const { return sequence_.rows(); }
  RowsRead rows_read() const { return sequence_.rows_read(); }
  int64_t corrections() const { return sequence_.corrections(); }

 private:
  Runtime runtime_;
  Sequence sequence_;
};

}  // namespace tidal
