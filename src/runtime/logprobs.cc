#include "runtime/logprobs.h"

#include <algorithm>
#include <cmath>

#include "runtime/sampling/candidate.h"

namespace tidal {
namespace {

// What a logit exceeds its log-probability by.
class LogSum {
 public:
  explicit LogSum(std::span<const float> logits)
      : best_(*std::max_element(logits.begin(), logits.end())) {
    double sum = 0;
    for (const float logit : logits) sum += std::exp(static_cast<double>(logit) - best_);
    log_sum_ = std::log(sum);
  }
  double log_probability(float logit) const {
    return static_cast<double>(logit) - best_ - log_sum_;
  }

 private:
  double best_, log_sum_ = 0;
};

}  // namespace

double log_probability(std::span<const float> logits, int32_t token) {
  return LogSum(logits).log_probability(logits[static_cast<size_t>(token)]);
}

TokenLogprobs log_probabilities(std::span<const float> logits, int32_t token, int32_t n_top) {
  const LogSum sum(logits);
  const auto of = [&](int32_t id) {
    return TokenLogprob{id,
                        static_cast<float>(sum.log_probability(logits[static_cast<size_t>(id)]))};
  };
  TokenLogprobs result{.drawn = of(token), .top = {}};
  const size_t count = std::min(static_cast<size_t>(n_top), logits.size());
  if (count == 0) return result;
  std::vector<Candidate> best;  // sorted
  best.reserve(count + 1);
  for (size_t i = 0; i < logits.size(); ++i) {
    const Candidate one{logits[i], static_cast<int32_t>(i)};
    if (best.size() == count && !likelier(one, best.back())) continue;
    best.insert(std::upper_bound(best.begin(), best.end(), one, likelier), one);
    if (best.size() > count) best.pop_back();
  }
  for (const Candidate& one : best) result.top.push_back(of(one.id));
  return result;
}

}  // namespace tidal
