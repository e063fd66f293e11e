#include "model/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tidal {
namespace {

constexpr double kTwoPi = 2.0 * std::numbers::pi;

// The (fractional) pair that makes `rotations` turns over the original context.
double correction_pair(double rotations, int32_t head_dim, const RopeConfig& rope) {
  const double context = static_cast<double>(rope.original_context);
  return head_dim * std::log(context / (rotations * kTwoPi)) / (2.0 * std::log(rope.theta));
}

// Pairs that turn often keep their frequency, slow ones are interpolated, with a ramp between.
void scale_yarn(const RopeConfig& rope, int32_t head_dim, std::vector<double>& frequencies) {
  double low = correction_pair(rope.yarn_beta_fast, head_dim, rope);
  double high = correction_pair(rope.yarn_beta_slow, head_dim, rope);
  if (rope.yarn_truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, head_dim - 1.0);
  if (low == high) high += 0.001;
  for (size_t i = 0; i < frequencies.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    frequencies[i] *= ramp / rope.factor + (1.0 - ramp);
  }
}

// The same idea, with the bounds given as fractions of the original context.
void scale_llama3(const RopeConfig& rope, std::vector<double>& frequencies) {
  const double context = static_cast<double>(rope.original_context);
  const double low = rope.llama3_low_freq_factor;
  const double high = rope.llama3_high_freq_factor;
  for (double& frequency : frequencies) {
    const double turns = context * frequency / kTwoPi;
    const double keep = std::clamp((turns - low) / (high - low), 0.0, 1.0);
    frequency *= (1.0 - keep) / rope.factor + keep;
  }
}

}  // namespace

double yarn_magnitude(double scale, double mscale) {
  return scale <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0;
}

RopeTable::RopeTable(const RopeConfig& rope, int32_t head_dim)
    : frequencies_(static_cast<size_t>(head_dim / 2)) {
  for (size_t i = 0; i < frequencies_.size(); ++i) {
    frequencies_[i] = std::pow(rope.theta, -2.0 * static_cast<double>(i) / head_dim);
    if (!rope.factors.empty()) frequencies_[i] /= static_cast<double>(rope.factors[i]);
  }
  switch (rope.scaling) {
    case RopeScaling::kNone:
      break;
    case RopeScaling::kLinear:
      for (double& frequency : frequencies_) frequency /= rope.factor;
      break;
    case RopeScaling::kYarn:
      scale_yarn(rope, head_dim, frequencies_);
      scale_ =
          rope.yarn_attention_factor > 0 ? rope.yarn_attention_factor : yarn_magnitude(rope.factor);
      break;
    case RopeScaling::kLlama3:
      scale_llama3(rope, frequencies_);
      break;
  }
}

void RopeTable::fill(int64_t position, float* out) const {
  const size_t n_pairs = frequencies_.size();
  for (size_t i = 0; i < n_pairs; ++i) {
    const double angle = static_cast<double>(position) * frequencies_[i];
    out[i] = static_cast<float>(std::cos(angle) * scale_);
    out[n_pairs + i] = static_cast<float>(std::sin(angle) * scale_);
  }
}

}  // namespace tidal
