#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/check.h"
#include "runtime/sampling/check_sampling.h"

namespace tidal {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

Dry make_dry(const SamplingOptions& options, int32_t vocab_size, const SamplerContext& context) {
  std::vector<DryBreaker> breakers;
  if (context.tokenizer != nullptr) {
    breakers = find_dry_breakers(*context.tokenizer, options.dry_sequence_breakers);
  }
  return {options, vocab_size, context.max_length, std::move(breakers)};
}

// Most words of a mask rule out all of their tokens, or none.
void rule_out(std::span<const uint32_t> mask, std::span<float> logits) {
  for (size_t first = 0; first < logits.size(); first += 32) {
    const uint32_t word = mask[first / 32];
    if (word == ~uint32_t{0}) continue;
    const std::span<float> those =
        logits.subspan(first, std::min<size_t>(32, logits.size() - first));
    if (word == 0) {
      std::ranges::fill(those, kNever);
      continue;
    }
    for (size_t i = 0; i < those.size(); ++i) {
      if ((word >> i & 1) == 0) those[i] = kNever;
    }
  }
}

}  // namespace

int32_t most_likely(std::span<const float> logits) {
  return static_cast<int32_t>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

SamplerScratch::SamplerScratch(int32_t vocab_size)
    : adjusted(static_cast<size_t>(vocab_size)),
      candidates(static_cast<size_t>(vocab_size)),
      weights(static_cast<size_t>(vocab_size)) {}

Sampler::Sampler(const SamplingOptions& options, int32_t vocab_size, const SamplerContext& context)
    : options_(options), random_(options.seed), scratch_(context.scratch) {
  check_sampling(options, vocab_size);
  if (Penalties::is_on(options)) penalties_.emplace(options, vocab_size);
  if (Dry::is_on(options)) dry_.emplace(make_dry(options, vocab_size, context));
  if (penalties_ || dry_) history_.reserve(static_cast<size_t>(context.max_length));
  adjusts_ = penalties_ || dry_ || !options.logit_bias.empty() || context.masked;
  if (scratch_ == nullptr) scratch_ = std::make_shared<SamplerScratch>(vocab_size);
}

void Sampler::accept(std::span<const int32_t> tokens) {
  if (!penalties_ && !dry_) return;
  for (const int32_t token : tokens) {
    history_.push_back(token);
    if (penalties_) penalties_->accept(history_);
  }
}

std::span<const float> Sampler::adjust(std::span<const float> logits,
                                       std::span<const uint32_t> mask,
                                       std::span<const int32_t> never) {
  if (!adjusts_) {
    TIDAL_CHECK(mask.empty() && never.empty(), "a sampler that was not made for a mask");
    return logits;
  }
  std::copy(logits.begin(), logits.end(), scratch_->adjusted.begin());
  if (!mask.empty()) rule_out(mask, scratch_->adjusted);
  for (const int32_t token : never) scratch_->adjusted[static_cast<size_t>(token)] = kNever;
  for (const auto& [token, bias] : options_.logit_bias) {
    scratch_->adjusted[static_cast<size_t>(token)] += bias;
  }
  if (penalties_) penalties_->apply(scratch_->adjusted);
  if (dry_) dry_->apply(history_, scratch_->adjusted);
  return scratch_->adjusted;
}

bool Sampler::takes_most_likely() const {
  return options_.temperature == 0 && options_.typical_p == 1 && options_.xtc_probability == 0;
}

// top_n_sigma's: that many standard deviations below the best. Otherwise what is not ruled out.
float Sampler::least_logit(std::span<const float> row) const {
  if (options_.top_n_sigma <= 0) {
    return !adjusts_ ? kNever : std::numeric_limits<float>::lowest();
  }
  double best = kNever, sum = 0, squares = 0, n = 0;
  for (const float logit : row) {
    if (logit == kNever) continue;
    best = std::max<double>(best, logit);
    sum += logit;
    ++n;
  }
  const double mean = sum / n;
  for (const float logit : row) {
    if (logit != kNever) squares += (logit - mean) * (logit - mean);
  }
  const double least = best - static_cast<double>(options_.top_n_sigma) * std::sqrt(squares / n);
  return std::max(static_cast<float>(least), std::numeric_limits<float>::lowest());
}

// The best `count` of those that reach `least`, sorted. One pass that keeps up to 2 * count
// candidates and, when these are full, drops the worse half: after a few hundred logits hardly any
// passes the worst one kept.
size_t Sampler::keep_best(std::span<const float> row, size_t count, float least) {
  const auto at = [&](size_t i) {
    return scratch_->candidates.begin() + static_cast<std::ptrdiff_t>(i);
  };
  const size_t room = std::min(2 * count, row.size());
  size_t kept = 0;
  float worst = kNever;  // an equal one that comes later is worse
  for (size_t i = 0; i < row.size(); ++i) {
    if (kept >= count && !(row[i] > worst)) continue;
    if (row[i] < least) continue;
    scratch_->candidates[kept++] = {row[i], static_cast<int32_t>(i)};
    if (kept < room || room == count) continue;
    std::nth_element(at(0), at(count - 1), at(kept), likelier);
    kept = count;
    worst = scratch_->candidates[count - 1].logit;
  }
  if (kept > count) {
    std::nth_element(at(0), at(count), at(kept), likelier);
    kept = count;
  }
  std::sort(at(0), at(kept), likelier);
  return kept;
}

// The weights of these candidates, the first one's is 1; returns their sum.
double Sampler::weigh(size_t first, size_t last, double temperature) {
  const double best = scratch_->candidates[first].logit;
  double sum = 0;
  for (size_t i = first; i < last; ++i) {
    scratch_->weights[i] =
        std::exp((static_cast<double>(scratch_->candidates[i].logit) - best) / temperature);
    sum += scratch_->weights[i];
  }
  return sum;
}

// typical_p: those whose surprise is nearest to the mean surprise, until their probability is above
// typical_p.
size_t Sampler::keep_typical(size_t count) {
  const double best = scratch_->candidates[0].logit;
  double sum = 0, mean = 0;
  for (size_t i = 0; i < count; ++i) sum += std::exp(scratch_->candidates[i].logit - best);
  const double log_sum = std::log(sum);
  const auto surprise = [&](const Candidate& candidate) {
    return log_sum - (candidate.logit - best);
  };
  for (size_t i = 0; i < count; ++i) {
    const double bits = surprise(scratch_->candidates[i]);
    if (std::isfinite(bits)) mean += std::exp(-bits) * bits;
  }
  const auto end = scratch_->candidates.begin() + static_cast<std::ptrdiff_t>(count);
  std::sort(scratch_->candidates.begin(), end, [&](const Candidate& a, const Candidate& b) {
    const double a_off = std::abs(surprise(a) - mean), b_off = std::abs(surprise(b) - mean);
    return a_off != b_off ? a_off < b_off : likelier(a, b);
  });
  size_t kept = 0;
  for (double reached = 0; kept < count && reached <= static_cast<double>(options_.typical_p);) {
    reached += std::exp(-surprise(scratch_->candidates[kept++]));
  }
  std::sort(scratch_->candidates.begin(),
            scratch_->candidates.begin() + static_cast<std::ptrdiff_t>(kept), likelier);
  return kept;
}

// top_p and min_p: both end a list that is sorted.
size_t Sampler::keep_likely(size_t count) {
  const double sum = weigh(0, count, 1);
  size_t kept = 0;
  for (double reached = 0; kept < count;) {
    if (kept > 0 && scratch_->weights[kept] < static_cast<double>(options_.min_p))
      break;  // weight 0 is 1
    reached += scratch_->weights[kept++];
    if (reached >= static_cast<double>(options_.top_p) * sum) break;
  }
  return kept;
}

// XTC: how many of the most likely are left out, so that one that reaches the threshold remains.
size_t Sampler::skip_top(size_t count) {
  if (options_.xtc_probability == 0 || options_.xtc_threshold > 0.5F || count < 2) return 0;
  if (draw_uniform() > static_cast<double>(options_.xtc_probability)) return 0;
  const double sum = weigh(0, count, 1);
  size_t above = 0;
  while (above < count &&
         scratch_->weights[above] / sum >= static_cast<double>(options_.xtc_threshold)) {
    ++above;
  }
  return above > 0 ? above - 1 : 0;
}

// Not std::uniform_real_distribution: its bits differ between standard libraries.
double Sampler::draw_uniform() { return static_cast<double>(random_() >> 11) * 0x1p-53; }

int32_t Sampler::draw() {
  if (options_.temperature == 0) return scratch_->candidates[first_].id;
  const double total = weigh(first_, last_, static_cast<double>(options_.temperature));
  double left = draw_uniform() * total;
  for (size_t i = first_; i + 1 < last_; ++i) {
    left -= scratch_->weights[i];
    if (left < 0) return scratch_->candidates[i].id;
  }
  return scratch_->candidates[last_ - 1].id;
}

int32_t Sampler::sample(std::span<const float> logits, std::span<const uint32_t> mask,
                        std::span<const int32_t> never) {
  const std::span<const float> row = adjust(logits, mask, never);
  first_ = last_ = 0;
  if (takes_most_likely()) {
    const int32_t token = most_likely(row);
    if (adjusts_ && row[static_cast<size_t>(token)] == kNever) return -1;
    scratch_->candidates[0] = {row[static_cast<size_t>(token)], token};
    last_ = 1;
    return token;
  }
  size_t count = row.size();
  if (options_.top_k > 0) count = std::min(count, static_cast<size_t>(options_.top_k));
  count = keep_best(row, count, least_logit(row));
  if (count == 0) return -1;
  if (options_.typical_p < 1) count = keep_typical(count);
  last_ = keep_likely(count);
  first_ = skip_top(last_);
  return draw();
}

std::span<const Candidate> Sampler::candidates() const {
  return std::span(scratch_->candidates).subspan(first_, last_ - first_);
}

TokenLogprobs Sampler::log_probabilities(int32_t token, int32_t n_top) const {
  const bool certain = options_.temperature == 0;  // the first one comes
  const auto weights = std::span(scratch_->weights).subspan(first_, certain ? 1 : last_ - first_);
  const double sum = certain ? 1 : std::accumulate(weights.begin(), weights.end(), 0.0);
  TokenLogprobs result{.drawn = {token, kNever}, .top = {}};
  for (size_t i = 0; i < weights.size(); ++i) {
    const int32_t id = scratch_->candidates[first_ + i].id;
    const bool is_top = std::ssize(result.top) < n_top;
    if (!is_top && id != token) continue;
    const double probability = certain ? 1 : weights[i] / sum;
    if (probability == 0) break;  // what follows is no likelier
    const TokenLogprob one{id, static_cast<float>(std::log(probability))};
    if (id == token) result.drawn = one;
    if (is_top) result.top.push_back(one);
  }
  return result;
}

}  // namespace tidal
