#include "eval/held_out.h"

#include <algorithm>
#include <utility>

#include "attention/registry.h"
#include "base/check.h"
#include "runtime/not_numbers.h"

namespace tidal {
namespace {

int64_t longest_answer(const Probe& probe) {
  size_t longest = 0;
  for (const Question& question : probe.questions) {
    longest = std::max(longest, question.answer.size());
  }
  return static_cast<int64_t>(longest);
}

}  // namespace

HeldOutFigures& HeldOutFigures::operator+=(const HeldOutFigures& other) {
  const double sum = divergence * static_cast<double>(tokens) +
                     other.divergence * static_cast<double>(other.tokens);
  tokens += other.tokens;
  divergence = tokens > 0 ? sum / static_cast<double>(tokens) : 0;
  recovered += other.recovered;
  answers += other.answers;
  rows.read += other.rows.read;
  rows.total += other.rows.total;
  return *this;
}

HeldOut::HeldOut(const std::shared_ptr<const Model>& model, const EngineOptions& options,
                 Probe probe, const Progress& progress)
    : probe_(std::move(probe)),
      full_(full_attention(model->config().n_layers())),
      branches_(model, options, kMaxMethods + 1, probe_.max_length(), longest_answer(probe_)) {
  branches_.prefill(probe_.context, progress);
}

std::vector<HeldOutFigures> HeldOut::measure(
    std::span<const std::shared_ptr<const AttentionMethod>> methods,
    const std::function<void()>& on_token) {
  TIDAL_CHECK(std::ssize(methods) <= kMaxMethods);
  std::vector<std::shared_ptr<const AttentionMethod>> all = {full_};
  all.insert(all.end(), methods.begin(), methods.end());
  std::vector<HeldOutFigures> figures(all.size());
  for (const Question& question : probe_.questions) {
    branches_.truncate(length());
    const std::span<const TokenId> prompt = question.prompt;
    if (prompt.size() > 1) branches_.append(prompt.first(prompt.size() - 1));
    branches_.fork(all);
    answer(question, figures, on_token);
    for (size_t i = 0; i < all.size(); ++i) {
      const RowsReport rows = branches_.rows(static_cast<int32_t>(i));
      figures[i].rows.read += rows.read;
      figures[i].rows.total += rows.total;
    }
  }
  for (HeldOutFigures& of : figures) of.divergence /= static_cast<double>(of.tokens);
  return figures;
}

void HeldOut::answer(const Question& question, std::span<HeldOutFigures> figures,
                     const std::function<void()>& on_token) {
  std::vector<bool> recovered(figures.size(), true);
  std::vector<Branches::Step> steps(figures.size());
  TokenId token = question.prompt.back();
  for (const TokenId expected : question.answer) {
    for (size_t i = 0; i < steps.size(); ++i) steps[i] = {static_cast<int32_t>(i), token};
    compare(branches_.decode(steps), expected, figures, recovered);
    token = expected;
    on_token();
  }
  for (size_t i = 0; i < figures.size(); ++i) {
    ++figures[i].answers;
    figures[i].recovered += recovered[i] ? 1 : 0;
  }
}

// One token of every method, logits: [n_methods, vocab_size]; sums divergences.
void HeldOut::compare(std::span<const float> logits, TokenId expected,
                      std::span<HeldOutFigures> figures, std::vector<bool>& recovered) {
  const size_t vocab_size = logits.size() / figures.size();
  if (has_nan(logits)) fail_not_numbers(branches_.model().path(), "in held-out text");
  distribution_.set(logits.first(vocab_size));
  for (size_t i = 0; i < figures.size(); ++i) {
    const auto own = logits.subspan(i * vocab_size, vocab_size);
    figures[i].divergence += distribution_.compare(own, expected).kld;
    ++figures[i].tokens;
    const auto best = std::max_element(own.begin(), own.end()) - own.begin();
    recovered[i] = recovered[i] && best == expected;
  }
}

}  // namespace tidal
