// Runtime: a model ready to compute: its back end, its decoder and the pages of its cache.
//
// What requests, evaluations and benchmarks are run on. Sequences (runtime/sequence.h) live in its
// pool and must end before it. Not thread-safe.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "attention/method.h"
#include "kv/page_pool.h"
#include "model/decoder.h"
#include "runtime/sequence.h"
#include "tidal/options.h"

namespace tidal {

using Progress = std::function<void(int64_t done, int64_t total)>;

struct RuntimeLimits {
  int32_t max_sequences = 1;  // of a batch
  int64_t max_length = 0;     // tokens of a sequence
  int64_t n_pages = 0;        // of the cache; 0: those of max_length
  int32_t max_rows = 0;       // of a batch; 0: a prompt chunk, or one a sequence
};

class Runtime {
 public:
  // Back end, threads, cache types and prompt chunk of the options. Throws Error for options that
  // cannot be carried out and for memory that cannot be had.
  Runtime(std::shared_ptr<const Model> model, const EngineOptions& options,
          const RuntimeLimits& limits);
  // On a back end of the caller's, which must outlive it.
  Runtime(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
          const RuntimeLimits& limits);

  const Model& model() const { return decoder_.model(); }
  Backend& backend() { return backend_; }
  Decoder& decoder() { return decoder_; }
  PagePool& pool() { return pool_; }
  int32_t prefill_chunk() const { return chunk_; }

  // The method for this model and cache. Throws Error as method_for() does.
  std::shared_ptr<const AttentionMethod> method(const MethodOptions& options) const;
  std::shared_ptr<const AttentionMethod> full_attention() const;
  // An empty sequence for up to max_length tokens (at most the limits').
  Sequence sequence(std::shared_ptr<const AttentionMethod> method, int64_t max_length);
  Sequence sequence(std::shared_ptr<const AttentionMethod> method) {
    return sequence(std::move(method), decoder_.limits().max_context);
  }

  // Runs all that these sequences have queued. The logits after the last token of each that had
  // something queued: [n, vocab_size] in their order, valid until the next call. progress: rows
  // done and in all, after each batch.
  std::span<const float> run(std::span<Sequence* const> sequences, const Progress& progress = {});
  std::span<const float> run(Sequence& sequence, const Progress& progress = {}) {
    Sequence* const one[] = {&sequence};
    return run(one, progress);
  }

 private:
  Runtime(std::shared_ptr<const Model> model, std::unique_ptr<Backend> owned, Backend* backend,
          const EngineOptions& options, const RuntimeLimits& limits);
  // One batch of works that are the last of their sequences, or of ones that are not.
  std::span<const float> run_batch(std::span<Sequence* const> sequences, bool last);

  struct Part {
    Sequence* sequence;
    Work work;
  };

  std::unique_ptr<Backend> owned_backend_;  // null: the caller's
  Backend& backend_;
  int32_t chunk_;
  Decoder decoder_;
  PagePool pool_;
  Batch batch_;
  std::vector<Part> parts_;
};

}  // namespace tidal
