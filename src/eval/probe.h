// Probes: prompts with known answers, on which plans are measured and compared.
//
// A probe is a context with questions, each asked on its own after the context. Prose asks for the
// text's next words. Retrieval needs prompts that retrieve, so passkeys, numbered records and
// copied passages are planted in the text and asked for, in the model's chat template if it has
// one. Equal seeds give equal probes. Everything throws Error(kInvalidArgument).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tidal {

struct Question {
  std::vector<TokenId> prompt;  // after the context; at least one token
  std::vector<TokenId> answer;  // at least one token
};

struct Probe {
  std::vector<TokenId> context;
  std::vector<Question> questions;

  int64_t max_length() const;  // context, prompt and answer together
};

// How a model is asked.
struct Asker {
  const Tokenizer& tokenizer;
  const std::optional<ChatTemplate>& chat_template;  // none: plain text

  // A user's message, open for the assistant's answer, which begins with `lead`.
  std::vector<TokenId> ask(const std::string& message, const std::string& lead) const;
};

// The text's last n_answer tokens, after all before them.
Probe prose_probe(std::span<const TokenId> text, int64_t n_answer);

// The text with planted facts, and a question about each.
Probe retrieval_probe(const Asker& asker, std::span<const TokenId> text, uint64_t seed);

// The user's own probes: JSON lines {"prompt": "...", "answer": "..."}; `path` is for messages.
std::vector<Probe> read_probes(const Asker& asker, const std::string& lines,
                               const std::string& path);

}  // namespace tidal
