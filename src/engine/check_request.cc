#include "engine/check_request.h"

#include <algorithm>

#include "base/fail.h"

namespace tidal {

void check_request(const Request& request, int64_t context_size, int32_t vocab_size) {
  const auto n_prompt = static_cast<int64_t>(request.prompt.size());
  if (n_prompt == 0) fail(ErrorCode::kInvalidArgument, "the prompt is empty, give some text");
  if (request.max_tokens < -1 || request.max_tokens == 0) {
    fail_option("max_tokens", ErrorCode::kInvalidArgument,
                "`max_tokens` is {}, give a count, or -1 for as many as fit", request.max_tokens);
  }
  if (request.min_tokens < 0) {
    fail_option("min_tokens", ErrorCode::kInvalidArgument, "`min_tokens` is {}, give a count",
                request.min_tokens);
  }
  if (request.max_tokens > 0 && request.min_tokens > request.max_tokens) {
    fail_option("min_tokens", ErrorCode::kInvalidArgument,
                "`min_tokens` is {}, but at most {} tokens are to come: lower it or raise "
                "`max_tokens`",
                request.min_tokens, request.max_tokens);
  }
  if (request.logprobs < -1) {
    fail_option("logprobs", ErrorCode::kInvalidArgument, "`logprobs` is {}, give a count or -1",
                request.logprobs);
  }
  if (request.prompt_logprobs && request.logprobs < 0) {
    fail_option("logprobs", ErrorCode::kInvalidArgument,
                "log-probabilities of the prompt are asked for, but `logprobs` is -1");
  }
  const int64_t generated = std::max<int64_t>({1, request.min_tokens, request.max_tokens});
  if (n_prompt + generated > context_size) {
    fail_option(
        "context_size", ErrorCode::kExhausted,
        "the prompt has {} tokens and {} are to be generated, but the cache holds {}: raise "
        "`context_size` to at least {}",
        n_prompt, generated, context_size, n_prompt + generated);
  }
  for (const int32_t token : request.prompt) {
    if (token < 0 || token >= vocab_size) {
      fail(ErrorCode::kInvalidArgument, "token {} of the prompt is not in the vocabulary of {}",
           token, vocab_size);
    }
  }
}

}  // namespace tidal
