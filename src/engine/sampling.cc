#include "engine/sampling.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/fail.h"

namespace tidal {

Sampler make_sampler(const Request& request, const Tokenizer& tokenizer, int32_t vocab_size,
                     int64_t max_length, std::shared_ptr<SamplerScratch> scratch) {
  Sampler sampler(request.sampling, vocab_size,
                  {.max_length = max_length,
                   .tokenizer = &tokenizer,
                   .masked = request.grammar.kind != GrammarKind::kNone || request.min_tokens > 0,
                   .scratch = std::move(scratch)});
  sampler.accept(request.prompt);
  return sampler;
}

std::vector<int32_t> end_tokens(const Request& request, const Tokenizer& tokenizer,
                                int32_t vocab_size) {
  std::vector<int32_t> ends;
  for (TokenId token = 0; token < vocab_size; ++token) {
    if (tokenizer.is_end_of_generation(token)) ends.push_back(token);
  }
  for (const int32_t token : request.stop_tokens) {
    if (token >= 0 && token < vocab_size) ends.push_back(token);
  }
  return ends;
}

int32_t pick(ActiveRequest& request, Sampler& sampler, std::span<const float> logits,
             int64_t ahead) {
  const auto mask = request.grammar ? request.grammar->mask() : std::span<const uint32_t>();
  const auto never = request.may_end(ahead) ? std::span<const int32_t>() : std::span(request.ends);
  return sampler.sample(logits, mask, never);
}

int32_t draw(ActiveRequest& request, std::span<const float> logits) {
  std::optional<GrammarMatcher>& grammar = request.grammar;
  const int32_t token = pick(request, request.sampler, logits);
  if (token < 0 && grammar && grammar->may_end()) return -1;
  if (token < 0) {
    fail_option("logit_bias", ErrorCode::kInvalidArgument,
                "no token may come next: {}{}`logit_bias` rules out all of them",
                grammar ? "the grammar or " : "", request.may_end() ? "" : "`min_tokens` or ");
  }
  TIDAL_CHECK(!grammar || grammar->accept(token), "a token of the mask that the grammar refuses");
  request.sampler.accept(token);
  return token;
}

bool ends_text(const ActiveRequest& request, const Tokenizer& tokenizer, int32_t token) {
  const std::vector<int32_t>& stops = request.request.stop_tokens;
  if (std::ranges::find(stops, token) != stops.end()) return true;
  const bool may_stop = !request.request.ignore_eos || request.grammar.has_value();
  return may_stop && tokenizer.is_end_of_generation(token);
}

}  // namespace tidal
