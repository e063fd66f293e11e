// Log-probabilities of tokens in the shapes of the APIs. Pure.
#pragma once

#include <span>

#include "server/answer.h"

namespace tidal::server {

// OpenAI's chat: {"content": [{"token", "logprob", "bytes", "top_logprobs"}]}. as_probabilities:
// "prob" and "top_probs" instead, as llama.cpp has them.
Json chat_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs,
                   bool as_probabilities);

// llama.cpp's completion_probabilities: the same entries, each with its id.
Json llama_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs,
                    bool as_probabilities);

// OpenAI's completions: tokens, token_logprobs, top_logprobs and text_offset, beside each other;
// offsets count characters from `offset` on, which is moved behind them.
Json completion_logprobs(const ReplyInfo& info, std::span<const TokenLogprobs> logprobs,
                         int64_t* offset);
// In front of it: a prompt's first token, before which there is nothing.
void prepend_first_token(const ReplyInfo& info, int32_t token, Json* logprobs, int64_t* offset);

}  // namespace tidal::server
