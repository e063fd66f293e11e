// Perplexity as the paper measures it: a dense prompt, then one token at a time through the decode
// path with the given method.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "runtime/session.h"
#include "tidal/engine.h"

namespace tidal {

struct TokenScore {
  int64_t position;
  int32_t id;
  double log_probability;  // natural logarithm, given to `id` at `position`
};

struct PerplexityResult {
  int64_t tokens = 0;         // scored
  double nll = 0;             // mean negative log-likelihood
  double perplexity = 1;      // exp(nll)
  double standard_error = 0;  // of the perplexity: perplexity * stddev(nll) / sqrt(tokens)
};

// Mean and standard error of the scores.
PerplexityResult summarize(std::span<const TokenScore> scores);

// Scores tokens[n_prefill ..]; 1 <= n_prefill < tokens.size(). on_token sees each as it comes; if
// it returns false the run ends there and the scores so far are summarized. Throws Error(kCorrupt)
// if the logits are not numbers.
PerplexityResult perplexity(Session& session, std::span<const int32_t> tokens, int64_t n_prefill,
                            const std::function<bool(const TokenScore&)>& on_token,
                            const Progress& progress);

}  // namespace tidal
