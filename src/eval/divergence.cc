#include "eval/divergence.h"

#include <algorithm>
#include <cmath>

#include "attention/registry.h"
#include "base/check.h"
#include "eval/perplexity.h"
#include "runtime/not_numbers.h"

namespace tidal {
namespace {

double log_sum_exp(std::span<const float> logits, double largest) {
  double sum = 0;
  for (const float logit : logits) sum += std::exp(double{logit} - largest);
  return largest + std::log(sum);
}

}  // namespace

void FullDistribution::set(std::span<const float> logits) {
  TIDAL_CHECK(!logits.empty());
  logits_.assign(logits.begin(), logits.end());
  const auto top = std::max_element(logits.begin(), logits.end());
  top_ = top - logits.begin();
  log_sum_ = log_sum_exp(logits, double{*top});
  probability_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    probability_[i] = std::exp(double{logits[i]} - log_sum_);
  }
}

TokenDivergence FullDistribution::compare(std::span<const float> logits, int32_t id) const {
  TIDAL_CHECK(logits.size() == logits_.size());
  const auto top = std::max_element(logits.begin(), logits.end());
  const double log_sum = log_sum_exp(logits, double{*top});
  // Subtract first: equal distributions then diverge by exactly zero.
  double kld = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    kld += probability_[i] * (double{logits_[i]} - double{logits[i]});
  }
  kld += log_sum - log_sum_;
  const auto index = static_cast<size_t>(id);
  return {.kld = std::max(0.0, kld),
          .log_probability = double{logits[index]} - log_sum,
          .log_probability_full = double{logits_[index]} - log_sum_,
          .same_top = top - logits.begin() == top_};
}

double quantile(std::span<const double> ascending, double q) {
  TIDAL_CHECK(!ascending.empty() && q >= 0 && q <= 1);
  const double rank = q * static_cast<double>(ascending.size() - 1);
  const auto below = static_cast<size_t>(rank);
  const size_t above = std::min(below + 1, ascending.size() - 1);
  return std::lerp(ascending[below], ascending[above], rank - static_cast<double>(below));
}

DivergenceSummary summarize(std::span<const TokenDivergence> tokens) {
  DivergenceSummary result;
  result.tokens = std::ssize(tokens);
  if (tokens.empty()) return result;
  const auto n = static_cast<double>(tokens.size());
  std::vector<double> klds;
  std::vector<TokenScore> scores;
  std::vector<TokenScore> full_scores;
  double dp_squares = 0;
  for (const TokenDivergence& token : tokens) {
    klds.push_back(token.kld);
    scores.push_back({0, 0, token.log_probability});
    full_scores.push_back({0, 0, token.log_probability_full});
    result.mean += token.kld;
    result.same_top += token.same_top ? 1 : 0;
    dp_squares +=
        std::pow(std::exp(token.log_probability) - std::exp(token.log_probability_full), 2);
  }
  result.mean /= n;
  result.same_top /= n;
  double squares = 0;
  for (const double kld : klds) squares += std::pow(kld - result.mean, 2);
  if (tokens.size() > 1) result.standard_error = std::sqrt(squares / (n - 1) / n);
  std::sort(klds.begin(), klds.end());
  result.p50 = quantile(klds, 0.5);
  result.p90 = quantile(klds, 0.9);
  result.p99 = quantile(klds, 0.99);
  result.p999 = quantile(klds, 0.999);
  result.max = klds.back();
  result.rms_dp = std::sqrt(dp_squares / n);
  const PerplexityResult perplexity = summarize(scores);
  result.perplexity = perplexity.perplexity;
  result.perplexity_error = perplexity.standard_error;
  result.perplexity_full = summarize(full_scores).perplexity;
  return result;
}

void diverge(
    Branches& branches, std::span<const std::shared_ptr<const AttentionMethod>> methods,
    std::span<const int32_t> tokens, int64_t n_prefill,
    const std::function<bool(int64_t position, std::span<const TokenDivergence>)>& on_token,
    const Progress& progress) {
  const auto n_tokens = std::ssize(tokens);
  TIDAL_CHECK(n_prefill >= 1 && n_prefill < n_tokens);
  const Config& config = branches.model().config();
  const auto n = static_cast<int32_t>(methods.size());
  const auto vocabulary = static_cast<size_t>(config.vocab_size);
  std::vector<std::shared_ptr<const AttentionMethod>> all(methods.begin(), methods.end());
  all.push_back(full_attention(config.n_layers()));
  const auto in_all = [&](int64_t done, int64_t) {
    if (progress) progress(done, n_tokens);
  };

  FullDistribution full;
  std::vector<TokenDivergence> divergences(methods.size());
  std::vector<Branches::Step> steps(all.size());
  std::span<const float> logits =
      branches.prefill(tokens.first(static_cast<size_t>(n_prefill)), in_all);
  branches.fork(all);
  for (int64_t position = n_prefill; position < n_tokens; ++position) {
    const int32_t id = tokens[static_cast<size_t>(position)];
    const bool from_prompt = position == n_prefill;  // one row of logits for all
    const auto row = [&](int32_t i) {
      return from_prompt ? logits : logits.subspan(static_cast<size_t>(i) * vocabulary, vocabulary);
    };
    full.set(row(n));
    for (int32_t i = 0; i < n; ++i) {
      TokenDivergence& divergence = divergences[static_cast<size_t>(i)];
      divergence = full.compare(row(i), id);
      if (std::isnan(divergence.kld) || std::isnan(divergence.log_probability)) {
        fail_not_numbers(branches.model().path(), fmt::format("at position {}", position));
      }
    }
    in_all(position + 1, n_tokens);
    if (!on_token(position, divergences)) break;
    if (position + 1 == n_tokens) break;
    for (int32_t i = 0; i <= n; ++i) steps[static_cast<size_t>(i)] = {i, id};
    logits = branches.decode(steps);
  }
}

}  // namespace tidal
