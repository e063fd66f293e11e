// Prompts that hide something in a long text and ask for it, of exactly the requested length.
//
// A prompt is one user turn in the model's chat template: text, question, and the beginning of the
// answer. Its tokens are assembled from pieces, so its length is exact. What is hidden, where the
// filler text begins and everything else that varies depends only on the seed. Immutable.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace tidal {

enum class NeedleKind : uint8_t {
  kPasskey,  // a five-digit number in running text
  kPairs,    // a JSON object of names and numbers, one of which is asked for
  kMulti,    // four numbers in running text, one in each quarter
};

// "passkey", "pairs", "multi". Throws Error(kInvalidArgument).
NeedleKind needle_kind(std::string_view name);

struct NeedlePrompt {
  std::vector<int32_t> tokens;
  std::vector<std::string> expected;  // what the answer must contain
  int64_t answer_tokens = 0;          // decoding stops after this many
};

class NeedlePrompts {
 public:
  // books: token ids of filler text; none: built-in plain sentences in random order. Without a chat
  // template the prompt is plain text.
  NeedlePrompts(Tokenizer tokenizer, const std::optional<ChatTemplate>& chat_template,
                std::vector<std::vector<int32_t>> books);

  // depth in [0, 1]: 0 hides at the beginning, 1 just before the question. Throws
  // Error(kInvalidArgument) if length is too short for needle and question, or a book for length.
  NeedlePrompt make(NeedleKind kind, int64_t length, double depth, uint64_t seed) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }

 private:
  using Tokens = std::vector<int32_t>;

  struct Frame {  // the chat template around the user's text
    Tokens head;
    Tokens tail;
  };

  Tokens encode(std::string_view text) const;
  Frame frame(std::string_view answer_prefix) const;
  Tokens filler(int64_t n, uint64_t& random) const;
  Tokens book_part(const Tokens& book, int64_t n, uint64_t& random) const;
  int64_t sentence_end_before(const Tokens& text, int64_t index) const;
  NeedlePrompt make_hidden(NeedleKind kind, int64_t length, double depth, uint64_t& random) const;
  NeedlePrompt make_pairs(int64_t length, double depth, uint64_t& random) const;

  Tokenizer tokenizer_;
  std::optional<ChatTemplate> chat_template_;
  std::vector<Tokens> books_;
};

// The share of `expected` that `answer` contains.
double needle_score(std::string_view answer, const std::vector<std::string>& expected);

}  // namespace tidal
