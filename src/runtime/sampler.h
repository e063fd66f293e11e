// Sampler: the next token from one row of logits.
//
// A chain of stages in llama.cpp's order and with its definitions:
//   1. which tokens may come, logit bias, penalties on what is repeated, DRY
//   2. top_n_sigma, top_k, typical_p, top_p, min_p: which are left; each takes probabilities among
//      those that the stage before it left, at temperature 1
//   3. XTC: at times without the most likely ones
//   4. a draw at the temperature; 0 takes the most likely one that is left
// A stage that is off costs nothing. Equal seeds, options, tokens accepted and logits give equal
// tokens; of equal logits the smaller id comes first. A copy goes on from where the original is, in
// the same scratch.
// Allocates at construction only.
//
// Where this is not llama.cpp: probabilities are sums of doubles, of equal scores of typical_p the
// likelier token comes first, and one random stream serves XTC and the draw.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <span>
#include <vector>

#include "runtime/sampling/candidate.h"
#include "runtime/sampling/dry.h"
#include "runtime/sampling/penalties.h"
#include "text/tokenizer.h"
#include "tidal/request.h"

namespace tidal {

// What one call of sample() works in. Samplers of one vocabulary that never run at the same time
// may share it: at 16 to 20 bytes a token of the vocabulary, a request that waits has none of its
// own.
struct SamplerScratch {
  explicit SamplerScratch(int32_t vocab_size);

  std::vector<float> adjusted;        // [vocab_size] logits as the first stage leaves them
  std::vector<Candidate> candidates;  // [vocab_size] those left, the best first
  std::vector<double> weights;        // [vocab_size] of candidates, as they were drawn
};

struct SamplerContext {
  int64_t max_length = 0;                // tokens it is told of at most, to allocate none later
  const Tokenizer* tokenizer = nullptr;  // for DRY's sequence breakers; without it there are none
  bool masked = false;                   // sample() may be told which tokens may come
  std::shared_ptr<SamplerScratch> scratch = nullptr;  // null: one of its own
};

class Sampler {
 public:
  // Throws Error(kInvalidArgument) naming the option that is out of range.
  Sampler(const SamplingOptions& options, int32_t vocab_size, const SamplerContext& context = {});

  // A token that is part of the text now: of the prompt, then each one that was taken.
  void accept(int32_t token) { accept({&token, 1}); }
  void accept(std::span<const int32_t> tokens);

  // logits: [vocab_size]. mask: a bit for each token, of those that may come; empty: all. never:
  // tokens that may not. Returns -1 when nothing may come.
  int32_t sample(std::span<const float> logits, std::span<const uint32_t> mask = {},
                 std::span<const int32_t> never = {});

  // What the last token was drawn from, the likeliest first, with the logits that the stages left;
  // until a sampler that shares the scratch draws.
  std::span<const Candidate> candidates() const;
  // With which probabilities: of that token, and of the n_top likeliest that might have come.
  TokenLogprobs log_probabilities(int32_t token, int32_t n_top) const;

 private:
  std::span<const float> adjust(std::span<const float> logits, std::span<const uint32_t> mask,
                                std::span<const int32_t> never);
  bool takes_most_likely() const;
  float least_logit(std::span<const float> row) const;
  size_t keep_best(std::span<const float> row, size_t count, float least);
  double weigh(size_t first, size_t last, double temperature);
  size_t keep_typical(size_t count);
  size_t keep_likely(size_t count);
  size_t skip_top(size_t count);
  double draw_uniform();
  int32_t draw();

  SamplingOptions options_;
  std::mt19937_64 random_;
  std::optional<Penalties> penalties_;
  std::optional<Dry> dry_;
  std::vector<int32_t> history_;  // while a stage looks at it
  bool adjusts_;                  // a stage changes logits
  std::shared_ptr<SamplerScratch> scratch_;
  size_t first_ = 0, last_ = 0;  // of its candidates: those that are drawn from
};

int32_t most_likely(std::span<const float> logits);

}  // namespace tidal
