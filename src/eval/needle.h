// Asks for what a prompt hides, with many methods sharing one dense reading of it.
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
  double score = 0;  // share of the hidden items found in the answer
  RowsReport rows;   // read by the steps of the answer
};

// Reads the prompt except its last token by full attention; from that token on every method decodes
// greedily in its own branch, until all is found, the turn ends or the prompt's answer_tokens are
// used up. So the whole answer, including its first token, comes from decode steps. One answer per
// method, in order. Branches must have room for all of them. Throws Error(kCorrupt) for logits that
// are not numbers.
std::vector<NeedleAnswer> ask_needle(
    Branches& branches, const NeedlePrompt& prompt, const Tokenizer& tokenizer,
    std::span<const std::shared_ptr<const AttentionMethod>> methods, const Progress& progress);

}  // namespace tidal
