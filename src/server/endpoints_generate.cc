// The endpoints that generate.
#include <memory>

#include "base/json.h"
#include "server/convert.h"
#include "server/endpoints.h"
#include "server/generation.h"
#include "server/http_text.h"

namespace tidal::server {
namespace {

std::vector<int32_t> tokens_of(const Engine& engine, const PromptParts& parts) {
  std::vector<int32_t> tokens;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (const auto* text = std::get_if<std::string>(&parts[i])) {
      const auto more = engine.encode(*text, /*add_special=*/i == 0, /*parse_special=*/true);
      tokens.insert(tokens.end(), more.begin(), more.end());
    } else {
      tokens.push_back(std::get<int32_t>(parts[i]));
    }
  }
  return tokens;
}

void complete(Service& service, HttpCall& call, Dialect dialect) {
  GenerateCall generate = read_call(dialect, call.body, service.options().defaults);
  if (generate.prompts.empty()) refuse("prompt", "'prompt' is missing");
  std::vector<PromptTokens> prompts;
  for (const PromptParts& parts : generate.prompts) {
    prompts.push_back({tokens_of(service.engine(), parts), {}});
  }
  std::make_shared<Generation>(service, std::move(generate), call.responder)->start(prompts);
}

PromptTokens chat_prompt(Service& service, const nlohmann::json& body) {
  const auto messages = body.find("messages");
  if (messages == body.end() || !messages->is_array()) {
    refuse("messages", "'messages' is missing, or no list");
  }
  std::vector<Message> list;
  for (const auto& message : *messages) {
    if (!message.is_object() || !message.contains("role") || !message.contains("content")) {
      refuse("messages", "a message needs 'role' and 'content'");
    }
    list.push_back({text_of(message["role"], "role"), text_of(message["content"], "content")});
  }
  return {service.engine().encode_chat(list), {}};
}

void chat(Service& service, HttpCall& call, Dialect dialect, const nlohmann::json& body) {
  GenerateCall generate = read_call(dialect, call.body, service.options().defaults);
  const std::vector<PromptTokens> prompts{chat_prompt(service, body)};
  std::make_shared<Generation>(service, std::move(generate), call.responder)->start(prompts);
}

void send_count(Service& service, HttpCall& call, const nlohmann::json& body, const char* object) {
  Json reply = Json::object();
  if (*object != '\0') reply["object"] = object;
  reply["input_tokens"] = chat_prompt(service, body).tokens.size();
  call.responder.send(json_reply(200, dump(reply)));
}

}  // namespace

void post_chat_completions(Service& service, HttpCall& call) {
  chat(service, call, Dialect::kChat, call.body);
}

void post_responses(Service& service, HttpCall& call) {
  chat(service, call, Dialect::kResponses, chat_from_responses(call.body));
}

void post_messages(Service& service, HttpCall& call) {
  chat(service, call, Dialect::kMessages, chat_from_messages(call.body));
}

void post_completions(Service& service, HttpCall& call) {
  complete(service, call, Dialect::kCompletions);
}

void post_llama_completion(Service& service, HttpCall& call) {
  complete(service, call, Dialect::kLlama);
}

void post_input_tokens(Service& service, HttpCall& call) {
  send_count(service, call, call.body, "response.input_tokens");
}

void post_responses_input_tokens(Service& service, HttpCall& call) {
  send_count(service, call, chat_from_responses(call.body), "response.input_tokens");
}

void post_count_tokens(Service& service, HttpCall& call) {
  send_count(service, call, chat_from_messages(call.body), "");
}

void post_apply_template(Service& service, HttpCall& call) {
  std::string text;
  for (const int32_t token : chat_prompt(service, call.body).tokens) text += service.piece(token);
  call.responder.send(json_reply(200, dump({{"prompt", text}})));
}

}  // namespace tidal::server
