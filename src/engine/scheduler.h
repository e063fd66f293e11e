// Scheduler: which requests get room in the cache, and which rows run in the next step.
//
// A request is admitted when the cache has room for its prompt and some more tokens for everybody;
// nobody sets aside what they may never use. In a step every decoding sequence takes part, every
// verification and due KV cache correction that fits, and behind them one chunk of one prompt: that
// with the fewest rows left, less those of other prompts that ran while it waited, so that none
// waits for ever. When pages run out, the engine takes the youngest out (plan() says so).
//
// Rows that full attention wrote are kept for prompts that begin alike, as long as no sequence
// needs their pages. Not thread-safe; the runtime must outlive it.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "kv/prefix_tree.h"
#include "model/decoder.h"
#include "runtime/runtime.h"
#include "runtime/sequence.h"

namespace tidal {

// Rows of a step that check drafts, of all sequences together, besides one of each.
inline constexpr int32_t kDraftRows = 32;

struct SchedulerLimits {
  int32_t max_sequences = 1;
  int32_t prefill_chunk = 512;  // rows of a prompt chunk, and of all corrections of a step

  int32_t max_rows() const { return max_sequences + kDraftRows + 2 * prefill_chunk; }
  int32_t max_logit_rows() const { return max_sequences + kDraftRows + kLogitRows; }
};

// Tokens that whoever runs should find room for besides those it has, in a cache that is not small.
inline constexpr int64_t kMostHeadroom = 256;

// An admitted sequence.
struct Running {
  Sequence* sequence = nullptr;
  int64_t max_length = 0;                   // tokens it may reach
  int64_t since = 0;                        // prompt_rows() when it came
  const std::atomic<bool>* stop = nullptr;  // see BatchSequence
};

// A sequence that asks to be admitted.
struct Applicant {
  uint64_t id = 0;
  const std::string* salt = nullptr;  // whose rows it may share; null: nobody's
  std::span<const int32_t> prompt;
  int64_t n_tokens = 0;  // that it has: the prompt and what was generated before a pause
  int64_t max_length = 0;
};

struct Scheduled {
  size_t index = 0;  // of the running sequence
  Work work;
  int32_t logits_row = 0;  // the first of work.logit_rows()
};

class Scheduler {
 public:
  Scheduler(const SchedulerLimits& limits, Runtime& runtime);

  // Room in the cache for a sequence of n_tokens and some more, at most max_length: with the rows
  // that are kept of the prompt's beginning (all but its last token, which gives logits). Nothing
  // when it must wait until another ends: then asking again costs next to nothing until pages are
  // given back or kept.
  std::optional<SequenceKv> admit(const Applicant& applicant, std::span<const Running> running);
  // Keeps the sequence's exact rows for others with this salt.
  void keep(const std::string& salt, const Sequence& sequence);
  // How many of the first tokens have been read by somebody with this salt, to the token.
  int64_t common(std::string_view salt, std::span<const int32_t> tokens) const {
    return prefixes_.common(salt, tokens);
  }

  // Puts the rows of those that take part into the batch, the prompt's (at most prompt_rows) last.
  // Kept rows that were used longest ago make way. Nothing when pages or memory are too few for
  // all of them: the batch is empty.
  std::optional<std::span<const Scheduled>> plan(std::span<const Running> running,
                                                 int32_t prompt_rows, Batch& batch);

  void listen_to_cache(CacheListener listener) { prefixes_.listen(std::move(listener)); }

  int64_t kept_pages() const { return prefixes_.n_pages(); }
  // Rows of prompts that were scheduled so far: the clock by which prompts age.
  int64_t prompt_rows() const { return prompt_rows_; }

 private:
  // What is slow to find out of a request: it walks all pages of its prompt and all that are kept.
  struct Demand {
    uint64_t id = 0;
    int64_t pages = 0;      // that it needs besides the kept ones
    int64_t evictable = 0;  // kept ones that would make way
    uint64_t changes = 0;   // of the pool, when it was found out
  };

  int64_t pages_ahead(const Running& running) const;
  SequenceKv find_rows(const Applicant& applicant);
  bool has_room(const Demand& demand, std::span<const Running> running) const;
  bool evict();
  bool make_room(int64_t n_pages);
  void choose(std::span<const Running> running, int32_t prompt_rows);

  SchedulerLimits limits_;
  Runtime& runtime_;
  PrefixTree prefixes_;
  int64_t headroom_;
  int64_t prompt_rows_ = 0;
  std::optional<Demand> refused_;  // of the request that was refused last
  std::vector<Scheduled> scheduled_;
  std::vector<Scheduled> corrections_;
};

}  // namespace tidal
