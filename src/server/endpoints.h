// The endpoints: method, path and what answers.
#pragma once

#include <span>
#include <string_view>

#include "server/service.h"

namespace tidal::server {

struct Endpoint {
  std::string_view method;
  std::string_view path;
  std::string_view summary;  // for /openapi.json
  bool generates;            // refused while the server is shutting down
  // Answers through the call's responder, now or later; throws what is then sent as an error.
  void (*handle)(Service& service, HttpCall& call);
  std::string_view request = {};  // the schema of its body
};

std::span<const Endpoint> endpoints();

// nullptr: there is none; path_known says whether another method would do.
const Endpoint* find_endpoint(std::string_view method, std::string_view path, bool* path_known);

// By file.
void post_chat_completions(Service& service, HttpCall& call);
void post_completions(Service& service, HttpCall& call);
void post_llama_completion(Service& service, HttpCall& call);
void post_responses(Service& service, HttpCall& call);
void post_messages(Service& service, HttpCall& call);
void post_input_tokens(Service& service, HttpCall& call);  // of chat
void post_responses_input_tokens(Service& service, HttpCall& call);
void post_count_tokens(Service& service, HttpCall& call);  // of messages

void post_tokenize(Service& service, HttpCall& call);
void post_detokenize(Service& service, HttpCall& call);
void post_apply_template(Service& service, HttpCall& call);
void get_tokenizer_info(Service& service, HttpCall& call);

void get_models(Service& service, HttpCall& call);
void get_model(Service& service, HttpCall& call);
void get_slots(Service& service, HttpCall& call);
void post_slot(Service& service, HttpCall& call);
void get_openapi(Service& service, HttpCall& call);
void get_metrics(Service& service, HttpCall& call);
void get_props(Service& service, HttpCall& call);
void get_version(Service& service, HttpCall& call);

}  // namespace tidal::server
