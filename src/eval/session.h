// Session: one sequence over the public decode path, fed by hand. What evaluations are made of.
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
  // Uses model, backend, threads, cache types and rope of the options; room for `capacity` tokens.
  Session(const EngineOptions& options, const MethodOptions& method, int64_t capacity);

  // Full attention over the tokens; the logits after the last one: [vocab_size].
  std::span<const float> prefill(std::span<const int32_t> tokens, const Progress& progress = {});
  // One token by the method; the logits after it: [vocab_size], valid until the next call.
  std::span<const float> decode(int32_t token);

  const Model& model() const { return decoder_->model(); }
  const AttentionMethod& method() const { return *method_; }
  RowsReport rows() const;
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
  std::vector<int32_t> tokens_;
  int32_t since_correction_ = 0;
  int64_t corrections_ = 0;
};

}  // namespace tidal
