#include "eval/perplexity.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "runtime/logprobs.h"
#include "runtime/not_numbers.h"

namespace tidal {

PerplexityResult summarize(std::span<const TokenScore> scores) {
  PerplexityResult result;
  result.tokens = static_cast<int64_t>(scores.size());
  if (scores.empty()) return result;
  const auto n = static_cast<double>(scores.size());
  double sum = 0;
  for (const TokenScore& score : scores) sum -= score.log_probability;
  result.nll = sum / n;
  result.perplexity = std::exp(result.nll);
  double squares = 0;
  for (const TokenScore& score : scores) {
    squares += std::pow(-score.log_probability - result.nll, 2);
  }
  if (scores.size() > 1) {
    result.standard_error = result.perplexity * std::sqrt(squares / (n - 1) / n);
  }
  return result;
}

PerplexityResult perplexity(Session& session, std::span<const int32_t> tokens, int64_t n_prefill,
                            const std::function<bool(const TokenScore&)>& on_token,
                            const Progress& progress) {
  const auto n_tokens = static_cast<int64_t>(tokens.size());
  TIDAL_CHECK(n_prefill >= 1 && n_prefill < n_tokens);
  std::vector<TokenScore> scores;
  scores.reserve(static_cast<size_t>(n_tokens - n_prefill));
  const auto in_all = [&](int64_t done, int64_t) {
    if (progress) progress(done, n_tokens);
  };
  std::span<const float> logits =
      session.prefill(tokens.first(static_cast<size_t>(n_prefill)), in_all);
  for (int64_t position = n_prefill; position < n_tokens; ++position) {
    const int32_t id = tokens[static_cast<size_t>(position)];
    scores.push_back({position, id, log_probability(logits, id)});
    if (std::isnan(scores.back().log_probability)) {
      fail_not_numbers(session.model().path(), fmt::format("at position {}", position));
    }
    in_all(position + 1, n_tokens);
    if (on_token && !on_token(scores.back())) break;
    if (position + 1 < n_tokens) logits = session.decode(id);
  }
  return summarize(scores);
}

}  // namespace tidal
