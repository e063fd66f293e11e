#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/fail.h"

namespace tidal {

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

Sampler::Sampler(const SamplingOptions& options, int32_t vocab_size)
    : options_(options), random_(options.seed) {
  const auto check = [](bool ok, const char* option, double value, const char* range) {
    if (!ok)
      fail_option(option, ErrorCode::kInvalidArgument, "`{}` is {}, give {}", option, value, range);
  };
  check(options.temperature >= 0 && std::isfinite(options.temperature), "temperature",
        options.temperature, "0 (always the most likely token) or more");
  check(options.top_k >= 0, "top_k", options.top_k, "a count, or 0 for no limit");
  check(options.top_p > 0 && options.top_p <= 1, "top_p", options.top_p,
        "a share above 0 and up to 1");
  check(options.min_p >= 0 && options.min_p <= 1, "min_p", options.min_p, "a share from 0 to 1");
  candidates_.resize(static_cast<size_t>(vocab_size));
  weights_.resize(static_cast<size_t>(vocab_size));
}

// One pass that keeps up to 2 * count candidates and, when these are full, drops the worse half:
// after a few hundred logits hardly any passes the worst one kept.
void Sampler::sort_best(std::span<const float> logits, size_t count) {
  const auto better = [](const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  };
  const auto middle = candidates_.begin() + static_cast<std::ptrdiff_t>(count);
  const size_t room = std::min(2 * count, logits.size());
  size_t kept = 0;
  float worst = -std::numeric_limits<float>::infinity();  // an equal one that comes later is worse
  for (size_t i = 0; i < logits.size(); ++i) {
    if (kept >= count && !(logits[i] > worst)) continue;
    candidates_[kept++] = {logits[i], static_cast<int32_t>(i)};
    if (kept < room || room == count) continue;
    std::nth_element(candidates_.begin(), middle - 1,
                     candidates_.begin() + static_cast<std::ptrdiff_t>(kept), better);
    kept = count;
    worst = candidates_[count - 1].logit;
  }
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(kept);
  if (kept > count) std::nth_element(candidates_.begin(), middle, end, better);
  std::sort(candidates_.begin(), middle, better);
}

int32_t Sampler::sample(std::span<const float> logits) {
  if (options_.temperature == 0) return most_likely(logits);
  size_t count = logits.size();
  if (options_.top_k > 0) count = std::min(count, static_cast<size_t>(options_.top_k));
  sort_best(logits, count);

  const double best = candidates_[0].logit;
  double sum = 0;
  for (size_t i = 0; i < count; ++i) {
    weights_[i] = std::exp(static_cast<double>(candidates_[i].logit) - best);
    sum += weights_[i];
  }
  size_t kept = 0;
  for (double reached = 0; kept < count;) {
    if (kept > 0 && weights_[kept] < static_cast<double>(options_.min_p)) break;  // weight 0 is 1
    reached += weights_[kept++];
    if (reached >= static_cast<double>(options_.top_p) * sum) break;
  }

  double total = 0;
  for (size_t i = 0; i < kept; ++i) {
    weights_[i] = std::exp((static_cast<double>(candidates_[i].logit) - best) /
                           static_cast<double>(options_.temperature));
    total += weights_[i];
  }
  // Not std::uniform_real_distribution: its bits differ between standard libraries.
  double draw = static_cast<double>(random_() >> 11) * 0x1p-53 * total;
  for (size_t i = 0; i + 1 < kept; ++i) {
    draw -= weights_[i];
    if (draw < 0) return candidates_[i].id;
  }
  return candidates_[kept - 1].id;
}

}  // namespace tidal
