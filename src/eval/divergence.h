// Kullback-Leibler divergence of methods from full attention, teacher-forced.
//
// Every method continues the same dense prompt with the same given tokens, alongside full attention
// in the same run, whose distributions come from a cache written by full attention alone. Natural
// logarithms throughout.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "attention/method.h"
#include "eval/branches.h"
#include "runtime/session.h"

namespace tidal {

// One token's distribution under a method compared with full attention's.
struct TokenDivergence {
  double kld = 0;                   // sum of p_full * log(p_full / p)
  double log_probability = 0;       // of the true token by the method
  double log_probability_full = 0;  // by full attention
  bool same_top = false;            // both rank the same token first
};

// Full attention's distribution, prepared once and compared with any number of others.
class FullDistribution {
 public:
  // logits: [vocab_size], copied.
  void set(std::span<const float> logits);
  // logits: [vocab_size]; id: the true token.
  TokenDivergence compare(std::span<const float> logits, int32_t id) const;

 private:
  std::vector<float> logits_;        // [vocab_size]
  std::vector<double> probability_;  // [vocab_size]
  double log_sum_ = 0;
  int64_t top_ = 0;
};

struct DivergenceSummary {
  int64_t tokens = 0;
  double mean = 0, standard_error = 0;  // of the divergence
  double p50 = 0, p90 = 0, p99 = 0, p999 = 0, max = 0;
  double same_top = 0;                          // share of tokens
  double rms_dp = 0;                            // root mean square of p - p_full of true tokens
  double perplexity = 1, perplexity_error = 0;  // of the method, with its standard error
  double perplexity_full = 1;
};

DivergenceSummary summarize(std::span<const TokenDivergence> tokens);

// The q-quantile of ascending values, linear between ranks: rank q * (n - 1).
double quantile(std::span<const double> ascending, double q);

// Compares the methods on tokens[n_prefill ..]; 1 <= n_prefill < tokens.size(). Branches must have
// room for one branch more than there are methods. on_token gets the position and each method's
// result ([n_methods]); if it returns false the run ends there. Throws Error(kCorrupt) if the
// logits are not numbers. Afterwards the methods' branches are 0 .. n_methods - 1.
void diverge(
    Branches& branches, std::span<const std::shared_ptr<const AttentionMethod>> methods,
    std::span<const int32_t> tokens, int64_t n_prefill,
    const std::function<bool(int64_t position, std::span<const TokenDivergence>)>& on_token,
    const Progress& progress);

}  // namespace tidal
