// Log-probabilities of a row of logits: natural logarithms of its softmax, summed in doubles.
#pragma once

#include <cstdint>
#include <span>

#include "tidal/engine.h"

namespace tidal {

// Of `token`, and of the n_top most likely tokens, the likeliest first and of equal ones the
// smaller id (fewer, where the vocabulary has fewer). A token's value is the same bits in both.
TokenLogprobs log_probabilities(std::span<const float> logits, int32_t token, int32_t n_top);

// Of `token` alone, with all its digits.
double log_probability(std::span<const float> logits, int32_t token);

}  // namespace tidal
