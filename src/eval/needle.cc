#include "eval/needle.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "runtime/not_numbers.h"

namespace tidal {

std::vector<NeedleAnswer> ask_needle(
    Branches& branches, const NeedlePrompt& prompt, const Tokenizer& tokenizer,
    std::span<const std::shared_ptr<const AttentionMethod>> methods, const Progress& progress) {
  TIDAL_CHECK(prompt.tokens.size() >= 2);
  const auto n_vocab = static_cast<size_t>(branches.model().config().vocab_size);
  std::vector<NeedleAnswer> answers(methods.size());
  std::vector<std::vector<int32_t>> tokens(methods.size());
  std::vector<Branches::Step> steps;
  for (int32_t i = 0; i < std::ssize(methods); ++i) steps.push_back({i, prompt.tokens.back()});

  branches.prefill(std::span(prompt.tokens).first(prompt.tokens.size() - 1), progress);
  branches.fork(methods);
  for (int64_t n = 0; n < prompt.answer_tokens && !steps.empty(); ++n) {
    const std::span<const float> logits = branches.decode(steps);
    if (has_nan(logits)) {
      fail_not_numbers(branches.model().path(), fmt::format("{} tokens into a needle's answer", n));
    }
    std::vector<Branches::Step> next;
    for (size_t row = 0; row < steps.size(); ++row) {
      const auto of_row = logits.subspan(row * n_vocab, n_vocab);
      const auto id =
          static_cast<int32_t>(std::max_element(of_row.begin(), of_row.end()) - of_row.begin());
      if (tokenizer.is_end_of_generation(id)) continue;
      const auto branch = static_cast<size_t>(steps[row].branch);
      NeedleAnswer& answer = answers[branch];
      tokens[branch].push_back(id);
      answer.text = tokenizer.decode(tokens[branch]);
      answer.score = needle_score(answer.text, prompt.expected);
      if (answer.score < 1) next.push_back({steps[row].branch, id});
    }
    steps = std::move(next);
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    answers[i].rows = branches.rows(static_cast<int32_t>(i));
  }
  return answers;
}

}  // namespace tidal
