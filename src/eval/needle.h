// Asks for what a prompt hides, by many methods from one dense reading of it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "attention/method.h"
#include "eval/branches.h"
#include "eval/needle_prompt.h"
#include "runtime/session.h"
#include "text/tokenizer.h"

namespace tidal {

struct NeedleAnswer {
  std::string text;
  double score = 0;  // share of what was hidden that the answer holds
  RowsReport rows;   // read by the steps of the answer
};

// Reads the prompt but for its last token by full attention; from that token on every method
// decodes greedily in a branch of its own, until all is found, the turn ends or the prompt's
// answer_tokens are out. So the whole answer, its first token included, comes from decode steps.
// One answer per method, in order. Branches must hold them all. Throws Error(kCorrupt) for logits
// that are not numbers.
std::vector<NeedleAnswer> ask_needle(
    Branches& branches, const NeedlePrompt& prompt, const Tokenizer& tokenizer,
    std::span<const std::shared_ptr<const AttentionMethod>> methods, const Progress& progress);

}  // namespace tidal
