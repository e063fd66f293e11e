// The endpoints that generate.
#include <ctime>
#include <memory>
#include <utility>

#include "base/json.h"
#include "server/convert.h"
#include "server/endpoints.h"
#include "server/generation.h"
#include "server/http_text.h"
#include "server/json_members.h"
#include "tidal/chat.h"

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
  generate.owner = call.owner;
  if (generate.prompts.empty()) refuse("prompt", "'prompt' is missing");
  std::vector<ChatPrompt> prompts;
  for (const PromptParts& parts : generate.prompts) {
    prompts.emplace_back().tokens = tokens_of(service.engine(), parts);
  }
  std::make_shared<Generation>(service, std::move(generate), call.responder)->start(prompts);
}

std::string today(const char* format) {
  const std::time_t now = std::time(nullptr);
  std::tm local{};
  localtime_r(&now, &local);
  char text[64];
  return {text, std::strftime(text, sizeof text, format, &local)};
}

// What the server was started with holds where the request says nothing.
ChatPrompt chat_prompt(Service& service, const Json& body) {
  Json asked = body;
  const ServiceOptions& options = service.options();
  Json& variables = asked["chat_template_kwargs"];
  if (variables.is_null()) variables = Json::object();
  if (variables.is_object()) {
    if (options.reasoning != "auto")
      variables.emplace("enable_thinking", options.reasoning == "on");
    // What templates that want today's date call it.
    variables.emplace("date_string", today("%d %b %Y"));
    variables.emplace("datetime", today("%b %d %Y"));
    // What a template calls the tools that are to be shown as they came.
    const Json& tools = member(asked, "tools");
    variables.emplace("functions", tools.empty() ? "" : dump(tools));
  }
  if (!options.reasoning_format.empty() && member(asked, "reasoning_format").is_null()) {
    asked["reasoning_format"] = options.reasoning_format;
  }
  return service.engine().chat_prompt(dump(asked));
}

void chat(Service& service, HttpCall& call, Dialect dialect, const Json& body) {
  GenerateCall generate = read_call(dialect, call.body, service.options().defaults);
  generate.owner = call.owner;
  std::make_shared<Generation>(service, std::move(generate), call.responder)
      ->start({chat_prompt(service, body)});
}

void send_count(Service& service, HttpCall& call, const Json& body, const char* object) {
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
  call.responder.send(json_reply(200, dump({{"prompt", chat_prompt(service, call.body).text}})));
}

}  // namespace tidal::server
