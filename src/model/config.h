// Config: the shape of a decoder-only transformer, whatever file it came from.
//
// Filled by an architecture (model/arch/) from GGUF metadata or a Hugging Face config.json, then
// checked by validate(): a Config that passes can be computed with.
#pragma once

#include <cstdint>
#include <string>
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
  double yarn_attention_factor = 0;  // 0: 0.1 ln(s) + 1
  double llama3_low_freq_factor = 1.0;
  double llama3_high_freq_factor = 4.0;
  std::vector<float>
      factors;  // [head_dim / 2] divisors of the frequencies (GGUF rope_freqs.weight)
};

struct Config {
  std::string architecture;  // "llama", "qwen2", "qwen3"
  std::string name;          // as the file calls it, may be empty
  int32_t n_layers = 0;
  int32_t d_model = 0;
  int32_t n_heads = 0;
  int32_t n_kv_heads = 0;
  int32_t head_dim = 0;
  int32_t d_ff = 0;
  int32_t vocab_size = 0;
  int64_t context_length = 0;  // trained context
  float rms_epsilon = 1e-5f;
  bool qkv_bias = false;
  bool qk_norm = false;
  bool tied_output = false;
  RopeConfig rope;
};

// Throws Error(kCorrupt | kUnsupported) naming source and field.
void validate(const Config& config, const std::string& source);

// cos and sin of every rotated pair at one position. out: [2 (cos, sin), head_dim / 2]
class RopeTable {
 public:
  RopeTable(const RopeConfig& rope, int32_t head_dim);
  void fill(int64_t position, float* out) const;

 private:
  std::vector<double> frequencies_;  // [head_dim / 2]
  double scale_ = 1.0;               // yarn's attention factor
};

}  // namespace tidal
