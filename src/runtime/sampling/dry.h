// DRY, as llama.cpp defines it: a token that would continue a repetition of n >= allowed_length
// tokens loses multiplier * base ^ (n - allowed_length). A repetition is the end of the tokens so
// far that was there before; it begins behind the last sequence breaker.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "text/tokenizer.h"
#include "tidal/options.h"

namespace tidal {

// A token that holds a breaker's text, or its beginning, then `tail` has the rest.
struct DryBreaker {
  TokenId head;
  std::vector<TokenId> tail;
};

// Ordered by head, none twice. Looks at every token of the vocabulary: some milliseconds.
std::vector<DryBreaker> find_dry_breakers(const Tokenizer& tokenizer,
                                          std::span<const std::string> texts);

class Dry {
 public:
  static bool is_on(const SamplingOptions& options);

  // Of more tokens than max_length apply() allocates.
  Dry(const SamplingOptions& options, int32_t vocab_size, int64_t max_length,
      std::vector<DryBreaker> breakers);

  // tokens: all so far. logits: [vocab_size]
  void apply(std::span<const int32_t> tokens, std::span<float> logits);

 private:
  std::span<const DryBreaker> breakers_of(int32_t token) const;
  int32_t repetition_limit(std::span<const int32_t> tokens) const;
  void find_repetitions(std::span<const int32_t> tokens, int32_t limit);
  void penalise(std::span<const int32_t> tokens, std::span<float> logits);

  float multiplier_, base_;
  int32_t allowed_length_, last_n_;
  std::vector<DryBreaker> breakers_;
  std::vector<int32_t>
      repeated_;  // [n] tokens up to the i-th from the end that are those at the end
  std::vector<int32_t> longest_;  // [vocab_size] repetition that a token continues; -1: none
  std::vector<int32_t> touched_;  // tokens that have one
};

}  // namespace tidal
