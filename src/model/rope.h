// Rotary position embedding: the frequencies by which a model rotates its queries and keys.
//
// Frequencies and angles are computed in double precision: they stay accurate at any position.
// Linear, YaRN and Llama 3 scaling give the frequencies of Hugging Face transformers'
// modeling_rope_utils.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ops/backend.h"

namespace tidal {

enum class RopeScaling : uint8_t { kNone, kLinear, kYarn, kLlama3 };

struct RopeConfig {
  RopePairing pairing = RopePairing::kHalves;
  double theta = 10000.0;
  RopeScaling scaling = RopeScaling::kNone;
  double factor = 1.0;           // context extension s (linear, yarn, llama3)
  int64_t original_context = 0;  // yarn, llama3: context the model was trained at
  double yarn_beta_fast = 32.0;  // yarn: correction range
  double yarn_beta_slow = 1.0;
  bool yarn_truncate = true;         // yarn: round the correction range to whole pairs
  double yarn_attention_factor = 0;  // 0: 0.1 ln(s) + 1
  double llama3_low_freq_factor = 1.0;
  double llama3_high_freq_factor = 4.0;
  // Divisors of the frequencies before any scaling (GGUF rope_freqs.weight): [head_dim / 2] or
  // none.
  std::vector<float> factors = {};
};

// --rope-* options; anything unset stays the model's.
struct RopeOverride {
  std::optional<RopeScaling> scaling = {};  // replaces the model's own scaling, factors included
  std::optional<double> scale = {};
  std::optional<double> freq_base = {};
  std::optional<int64_t> yarn_original_context = {};
};

// YaRN's factor on cos and sin if none is given: 0.1 mscale ln(scale) + 1.
double yarn_magnitude(double scale, double mscale = 1.0);

// cos and sin of every rotated pair at one position. out: [2 (cos, sin), head_dim / 2]
class RopeTable {
 public:
  RopeTable(const RopeConfig& rope, int32_t head_dim);
  void fill(int64_t position, float* out) const;

  const std::vector<double>& frequencies() const { return frequencies_; }
  double scale() const { return scale_; }

 private:
  std::vector<double> frequencies_;  // [head_dim / 2] radians per position
  double scale_ = 1.0;               // yarn's attention factor
};

}  // namespace tidal
