// Sampler: the next token from one row of logits.
//
// Keeps the top_k most likely, then the fewest whose probability reaches top_p, then those with at
// least min_p of the best one's probability, and draws from these at the temperature. Equal seeds
// and logits give equal tokens; of equal logits the smaller id comes first. Temperature 0 takes the
// most likely token. Allocates at construction only.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "tidal/options.h"

namespace tidal {

class Sampler {
 public:
  // Throws Error(kInvalidArgument) naming the option that is out of range.
  Sampler(const SamplingOptions& options, int32_t vocab_size);

  int32_t sample(std::span<const float> logits);  // [vocab_size]

 private:
  struct Candidate {
    float logit;
    int32_t id;
  };
  void sort_best(std::span<const float> logits, size_t count);

  SamplingOptions options_;
  std::mt19937_64 random_;
  std::vector<Candidate> candidates_;  // [vocab_size] the best first, after sort_best()
  std::vector<double> weights_;        // [vocab_size]
};

int32_t most_likely(std::span<const float> logits);

}  // namespace tidal
