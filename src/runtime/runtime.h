// Runtime: a model ready to compute: its back end, its decoder and the pages of its cache.
//
// What requests, evaluations and benchmarks run on. Sequences (runtime/sequence.h) live in its pool
// and must be destroyed before it. Not thread-safe unless noted.
//
// The cache takes memory from the system page by page, when a page is first written, and keeps it.
// What is to be written next is checked against free memory, so that a prompt too long for the
// machine is refused before it is read, and the system does not kill the process half-way.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "attention/method.h"
#include "base/available_memory.h"
#include "kv/page_pool.h"
#include "model/decoder.h"
#include "runtime/sequence.h"
#include "tidal/options.h"

namespace tidal {

using Progress = std::function<void(int64_t done, int64_t total)>;

struct RuntimeLimits {
  int32_t max_sequences = 1;   // per batch
  int64_t max_length = 0;      // tokens per sequence
  int64_t n_pages = 0;         // of the cache; 0: enough for max_length
  int32_t max_rows = 0;        // per batch; 0: a prompt chunk, or one per sequence
  int32_t max_logit_rows = 0;  // per batch; 0: one per sequence
};

class Runtime {
 public:
  // Back end, threads, cache types and prompt chunk come from the options. Throws Error for options
  // that cannot be carried out and for memory that is not available.
  Runtime(std::shared_ptr<const Model> model, const EngineOptions& options,
          const RuntimeLimits& limits);
  // On the caller's back end, which must outlive it.
  Runtime(std::shared_ptr<const Model> model, Backend& backend, const EngineOptions& options,
          const RuntimeLimits& limits);

  const Model& model() const { return decoder_.model(); }
  Backend& backend() { return backend_; }
  Decoder& decoder() { return decoder_; }
  PagePool& pool() { return pool_; }
  size_t bytes_per_token() const { return pool_.bytes_per_token(); }
  int32_t prefill_chunk() const { return chunk_; }

  // The method for this model and cache. Throws Error as method_for() does.
  std::shared_ptr<const AttentionMethod> method(const MethodOptions& options) const;
  std::shared_ptr<const AttentionMethod> full_attention() const;
  // An empty sequence for up to max_length tokens (at most the limits').
  Sequence sequence(std::shared_ptr<const AttentionMethod> method, int64_t max_length);
  Sequence sequence(std::shared_ptr<const AttentionMethod> method) {
    return sequence(std::move(method), decoder_.limits().max_context);
  }

  // Throws Error(kExhausted) if this many tokens could not be cached even by a sequence on its own:
  // pages written before cost nothing. Any thread.
  void require_memory(int64_t n_tokens) const;
  // The same for n_pages of the cache besides those in use, and whether the memory is available.
  void require_pages(int64_t n_pages) const;
  bool has_memory_for_pages(int64_t n_pages) const;
  // Pages the cache has taken memory for.
  int64_t written_pages() const { return written_pages_; }
  // Replaces the source of the free memory figure, for tests; before the first request.
  void ask_for_memory(std::function<uint64_t()> available) { available_ = std::move(available); }

  // The decoder's forward pass.
  std::span<const float> forward(Batch& batch);

  // Runs all that these sequences have queued. Throws Error(kExhausted) before running any of it if
  // that exceeds free memory. Returns the logits after the last token of each sequence that had
  // something queued: [n, vocab_size] in their order, valid until the next call. progress: rows
  // done and in total, after each batch.
  std::span<const float> run(std::span<Sequence* const> sequences, const Progress& progress = {});
  std::span<const float> run(Sequence& sequence, const Progress& progress = {}) {
    Sequence* const one[] = {&sequence};
    return run(one, progress);
  }

 private:
  Runtime(std::shared_ptr<const Model> model, std::unique_ptr<Backend> owned, Backend* backend,
          const EngineOptions& options, const RuntimeLimits& limits);
  int64_t pages_in_use() const { return pool_.n_pages() - pool_.free_pages(); }
  // Memory the cache would take from the system to have n_pages in use.
  uint64_t bytes_to_fill(int64_t n_pages) const;
  // The free memory, if less than that takes.
  std::optional<uint64_t> too_little_memory(int64_t n_pages) const;
  void require_fill(int64_t n_pages, int64_t n_tokens) const;
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
  std::atomic<int64_t> written_pages_ = 0;          // most in use at the same time so far
  mutable std::atomic<int64_t> assured_pages_ = 0;  // memory was found for these
  std::function<uint64_t()> available_ = available_memory;
};

}  // namespace tidal
