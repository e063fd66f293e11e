// Session: one sequence fed by hand, over the same decoder, cache and methods as the engine's. What
// evaluations and benchmarks are made of.
//
// prefill() runs tokens as full-attention chunks; decode() feeds one token through the method,
// correcting the cache every correct_every() tokens as the engine does. Not thread-safe.
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
#include "tidal/engine.h"
#include "tidal/options.h"

namespace tidal {

using Progress = std::function<void(int64_t done, int64_t total)>;

class Session {
 public:
  // Uses backend, threads and cache types of the options; room for `capacity` tokens.
  Session(std::shared_ptr<const Model> model, const EngineOptions& options,
          const MethodOptions& method, int64_t capacity);

  // Full attention over the tokens; the logits after the last one: [vocab_size].
  std::span<const float> prefill(std::span<const int32_t> tokens, const Progress& progress = {});
  // One token by the method; the logits after it: [vocab_size], valid until the next call.
  std::span<const float> decode(int32_t token);

  // Another method from the next token on; counts start again.
  void set_method(const MethodOptions& method);
  // Forgets all but the first `length` tokens.
  void truncate(int64_t length);
  KvView cache(int32_t layer) const { return kv_->view(layer); }

  // Shows every layer's attention to the observer (model/decoder.h), of prompts too; null: to
  // nobody.
  void observe(AttentionObserver* observer) { decoder_->observe(observer); }

  Backend& backend() { return *backend_; }
  const Model& model() const { return decoder_->model(); }
  int64_t length() const { return kv_->length(); }
  const AttentionMethod& method() const { return *method_; }
  RowsReport rows() const;
  const RowsRead& rows_read() const { return state_.rows; }
  int64_t corrections() const { return corrections_; }

 private:
  std::span<const float> forward(std::span<const int32_t> tokens, LogitRows logits, bool by_method);
  void correct();

  int32_t chunk_;
  std::unique_ptr<Backend> backend_;
  std::optional<Decoder> decoder_;
  std::optional<PagePool> pool_;
  std::optional<SequenceKv> kv_;
  std::shared_ptr<const AttentionMethod> method_;
  AttentionState state_;
  Batch batch_;
  std::vector<int32_t> tokens_;  // of all rows in the cache
  std::vector<int32_t> again_;   // those that a correction runs again
  int32_t since_correction_ = 0;
  int64_t corrections_ = 0;
};

}  // namespace tidal
