#include "engine/sampling.h"

#include "base/check.h"
#include "base/fail.h"

namespace tidal {

Sampler make_sampler(const Request& request, const Tokenizer& tokenizer, int32_t vocab_size,
                     int64_t max_length) {
  Sampler sampler(request.sampling, vocab_size,
                  {.max_length = max_length,
                   .tokenizer = &tokenizer,
                   .masked = request.grammar.kind != GrammarKind::kNone});
  sampler.accept(request.prompt);
  return sampler;
}

int32_t draw(ActiveRequest& request, std::span<const float> logits) {
  std::optional<GrammarMatcher>& grammar = request.grammar;
  const int32_t token =
      request.sampler.sample(logits, grammar ? grammar->mask() : std::span<const uint32_t>());
  if (token < 0 && grammar && grammar->may_end()) return -1;
  if (token < 0) {
    fail_option("logit_bias", ErrorCode::kInvalidArgument,
                "no token may come next: {}`logit_bias` rules out all of them",
                grammar ? "the grammar or " : "");
  }
  TIDAL_CHECK(!grammar || grammar->accept(token), "a token of the mask that the grammar refuses");
  request.sampler.accept(token);
  return token;
}

}  // namespace tidal
