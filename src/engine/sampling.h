// How a request's tokens are drawn.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "engine/active_request.h"

namespace tidal {

// Knows the request's prompt. max_length: tokens the request may reach. scratch: of all requests,
// whose tokens are drawn one after the other. Throws Error naming the option that is out of range.
Sampler make_sampler(const Request& request, const Tokenizer& tokenizer, int32_t vocab_size,
                     int64_t max_length, std::shared_ptr<SamplerScratch> scratch);

// The tokens that end a request's text.
std::vector<int32_t> end_tokens(const Request& request, const Tokenizer& tokenizer,
                                int32_t vocab_size);

// What a sampler of the request draws, behind `ahead` tokens that it may get; -1: nothing may come.
// Neither it nor the grammar knows the token then.
int32_t pick(ActiveRequest& request, Sampler& sampler, std::span<const float> logits,
             int64_t ahead = 0);

// The next token of a request, which its sampler and grammar know then; -1 at the end of a grammar
// where no token ends a turn. Throws Error when none may come.
int32_t draw(ActiveRequest& request, std::span<const float> logits);

// Whether a token ends the request's text, and is no part of it.
bool ends_text(const ActiveRequest& request, const Tokenizer& tokenizer, int32_t token);

}  // namespace tidal
