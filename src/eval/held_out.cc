#include "eval/held_out.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/fail.h"

namespace tidal {
namespace {

MethodOptions full_attention() {
  MethodOptions method;
  method.name = "full";
  return method;
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
    : probe_(std::move(probe)), session_(model, options, full_attention(), probe_.max_length()) {
  session_.prefill(probe_.context, progress);
  full_ = answer_all(full_attention(), [&](size_t, int32_t, std::span<const float> logits) {
    if (std::any_of(logits.begin(), logits.end(), [](float x) { return std::isnan(x); })) {
      fail(ErrorCode::kCorrupt, "{} gave logits that are not numbers: is the file damaged?",
           model->path());
    }
    full_logits_.insert(full_logits_.end(), logits.begin(), logits.end());
  });
}

HeldOutFigures HeldOut::measure(const MethodOptions& method) {
  double sum = 0;
  const auto add = [&](size_t index, int32_t answer, std::span<const float> logits) {
    distribution_.set(std::span(full_logits_).subspan(index * logits.size(), logits.size()));
    sum += distribution_.compare(logits, answer).kld;
  };
  HeldOutFigures figures = answer_all(method, add);
  figures.divergence = sum / static_cast<double>(figures.tokens);
  return figures;
}

HeldOutFigures HeldOut::answer_all(const MethodOptions& method, const OnLogits& on_logits) {
  session_.set_method(method);
  HeldOutFigures figures;
  for (const Question& question : probe_.questions) {
    session_.truncate(std::ssize(probe_.context));
    const std::span<const TokenId> prompt = question.prompt;
    if (prompt.size() > 1) session_.prefill(prompt.first(prompt.size() - 1));
    bool recovered = true;
    TokenId token = prompt.back();
    for (const TokenId answer : question.answer) {
      const std::span<const float> logits = session_.decode(token);
      on_logits(static_cast<size_t>(figures.tokens), answer, logits);
      const auto best = std::max_element(logits.begin(), logits.end()) - logits.begin();
      recovered = recovered && best == answer;
      ++figures.tokens;
      token = answer;
    }
    ++figures.answers;
    figures.recovered += recovered ? 1 : 0;
  }
  figures.rows = session_.rows();
  return figures;
}

}  // namespace tidal
