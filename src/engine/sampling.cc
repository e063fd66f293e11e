#include "engine/sampling.h"

#include "base/fail.h"

namespace tidal {

Sampler make_sampler(const Request& request, const Tokenizer& tokenizer, int32_t vocab_size,
                     int64_t max_length) {
  Sampler sampler(request.sampling, vocab_size,
                  {.max_length = max_length, .tokenizer = &tokenizer});
  sampler.accept(request.prompt);
  return sampler;
}

int32_t draw(ActiveRequest& request, std::span<const float> logits) {
  const int32_t token = request.sampler.sample(logits);
  if (token < 0) {
    fail_option("logit_bias", ErrorCode::kInvalidArgument,
                "no token may come next: `logit_bias` rules out all of them");
  }
  request.sampler.accept(token);
  return token;
}

}  // namespace tidal
