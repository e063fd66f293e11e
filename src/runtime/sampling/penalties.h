// Repetition, presence and frequency penalties, as llama.cpp defines them: the logit of each token
// among the last repeat_last_n is divided by the repetition penalty (multiplied where it is not
// positive), then loses the presence penalty, and the frequency penalty for each time it is there.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tidal/options.h"

namespace tidal {

class Penalties {
 public:
  static bool is_on(const SamplingOptions& options);

  Penalties(const SamplingOptions& options, int32_t vocab_size);

  // tokens: all so far; the last one is new.
  void accept(std::span<const int32_t> tokens);
  void apply(std::span<float> logits) const;  // [vocab_size]

 private:
  struct Seen {
    int32_t id;
    int32_t count;
  };
  void forget(int32_t token);

  float repeat_, presence_, frequency_;
  int32_t last_n_;
  std::vector<Seen> seen_;      // those that count, in no order; at most vocab_size
  std::vector<int32_t> place_;  // [vocab_size] in seen_; -1: not there
};

}  // namespace tidal
