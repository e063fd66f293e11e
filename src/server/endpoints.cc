#include "server/endpoints.h"

#include <array>

namespace tidal::server {
namespace {

constexpr std::array kEndpoints{
    Endpoint{"POST", "/v1/chat/completions", "Chat", true, post_chat_completions, "Chat"},
    Endpoint{"POST", "/chat/completions", "Chat", true, post_chat_completions, "Chat"},
    Endpoint{"POST", "/v1/chat/completions/input_tokens", "Tokens of a chat", false,
             post_input_tokens, "Chat"},
    Endpoint{"POST", "/chat/completions/input_tokens", "Tokens of a chat", false, post_input_tokens,
             "Chat"},
    Endpoint{"POST", "/v1/completions", "Continue a text", true, post_completions, "Completion"},
    Endpoint{"POST", "/completion", "Continue a text (llama.cpp)", true, post_llama_completion,
             "Completion"},
    Endpoint{"POST", "/completions", "Continue a text (llama.cpp)", true, post_llama_completion,
             "Completion"},
    Endpoint{"POST", "/v1/responses", "Responses (OpenAI)", true, post_responses, "Responses"},
    Endpoint{"POST", "/responses", "Responses (OpenAI)", true, post_responses, "Responses"},
    Endpoint{"POST", "/v1/responses/input_tokens", "Tokens of a request", false,
             post_responses_input_tokens, "Responses"},
    Endpoint{"POST", "/v1/messages", "Messages (Anthropic)", true, post_messages, "Messages"},
    Endpoint{"POST", "/v1/messages/count_tokens", "Tokens of a request", false, post_count_tokens,
             "Messages"},
    Endpoint{"POST", "/apply-template", "Messages to text", false, post_apply_template, "Chat"},
    Endpoint{"GET", "/slots", "What runs", false, get_slots},
    Endpoint{"POST", "/slots/{id}", "Forget what a slot has read", false, post_slot},
    Endpoint{"GET", "/openapi.json", "This document", false, get_openapi},
    Endpoint{"GET", "/tokenizer_info", "Special tokens and chat template", false,
             get_tokenizer_info},
    Endpoint{"GET", "/metrics", "Figures for Prometheus", false, get_metrics},
    Endpoint{"GET", "/v1/models", "The model", false, get_models},
    Endpoint{"GET", "/models", "The model", false, get_models},
    Endpoint{"GET", "/v1/models/{model}", "The model of that name", false, get_model},
    Endpoint{"POST", "/tokenize", "Text to tokens", false, post_tokenize, "Tokenize"},
    Endpoint{"POST", "/detokenize", "Tokens to text", false, post_detokenize, "Detokenize"},
    Endpoint{"GET", "/props", "Settings", false, get_props},
    Endpoint{"GET", "/version", "Version", false, get_version},
};

// "/slots/{id}" is "/slots/" and one more part; the name of a model may hold slashes.
bool matches(std::string_view pattern, std::string_view path) {
  const size_t open = pattern.find('{');
  if (open == pattern.npos) return pattern == path;
  const bool one_part = !pattern.ends_with("{model}");
  return path.starts_with(pattern.substr(0, open)) &&
         !(one_part && path.find('/', open) != path.npos);
}

}  // namespace

std::span<const Endpoint> endpoints() { return kEndpoints; }

const Endpoint* find_endpoint(std::string_view method, std::string_view path, bool* path_known) {
  *path_known = false;
  if (method == "HEAD") method = "GET";
  for (const Endpoint& endpoint : kEndpoints) {
    if (!matches(endpoint.path, path)) continue;
    *path_known = true;
    if (endpoint.method == method) return &endpoint;
  }
  return nullptr;
}

}  // namespace tidal::server
