// Requests of other chat APIs as requests of OpenAI's chat API. Pure: JSON in, JSON out.
//
// Only what makes the prompt is taken over: messages, tools, how tools are chosen and reasoning.
// What cannot be carried out is an ApiError(400).
#pragma once

#include "server/errors.h"

namespace tidal::server {

// POST /v1/responses. Tools that are no functions, and items that mean nothing here, are left out.
Json chat_from_responses(const Json& body);

// POST /v1/messages, Anthropic's. Lines of the system prompt that change with every request for
// billing's sake are left out: they would keep a conversation from being reused.
Json chat_from_messages(const Json& body);

}  // namespace tidal::server
