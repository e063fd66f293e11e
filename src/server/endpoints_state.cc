// What the server says about itself.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <string_view>

#include "base/json.h"
#include "base/quote.h"
#include "server/call_fields.h"
#include "server/endpoints.h"
#include "server/format.h"
#include "server/http_text.h"
#include "server/openapi.h"
#include "tidal/version.h"

namespace tidal::server {
namespace {

// In the fields of OpenAI, llama.cpp and vLLM, and those that Anthropic's clients need.
Json model_json(Service& service) {
  const ModelInfo info = service.engine().info();
  return {{"id", service.model_name()},
          {"object", "model"},
          {"created", service.started()},
          {"owned_by", "tidal"},
          {"aliases", service.options().aliases},
          {"tags", service.options().tags},
          {"max_model_len", service.request_context()},
          {"type", "model"},
          {"display_name", service.model_name()},
          {"created_at", fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(service.started()))},
          {"lifecycle", "active"},
          {"max_input_tokens", service.request_context()},
          {"meta",
           {{"n_ctx", service.request_context()},
            {"n_ctx_train", info.trained_context},
            {"n_vocab", info.vocab_size},
            {"n_embd", info.d_model},
            {"n_params", info.n_parameters},
            {"size", info.n_bytes}}}};
}

}  // namespace

void get_models(Service& service, HttpCall& call) {
  call.responder.send(json_reply(200, dump({{"object", "list"},
                                            {"data", Json::array({model_json(service)})},
                                            {"has_more", false},
                                            {"first_id", service.model_name()},
                                            {"last_id", service.model_name()}})));
}

void get_model(Service& service, HttpCall& call) {
  constexpr std::string_view kPrefix = "/v1/models/";
  const std::string_view name = std::string_view(call.request.path).substr(kPrefix.size());
  const std::string own = service.model_name();
  if (name != own && !service.options().aliases.contains(std::string(name))) {
    throw ApiError(
        404, fmt::format("there is no model {}, this server has {}", quote(name, 200), quote(own)));
  }
  call.responder.send(json_reply(200, dump(model_json(service))));
}

void get_props(Service& service, HttpCall& call) {
  GenerateCall defaults;
  defaults.options = service.options().defaults;
  const Json settings = settings_json(defaults);
  Json reply = {
      {"default_generation_settings", {{"n_ctx", service.request_context()}, {"params", settings}}},
      {"total_slots", service.options().n_slots},
      {"model_alias", service.model_name()},
      {"model_path", service.options().model_path},
      {"chat_template", service.engine().chat_template()},
      {"modalities", {{"vision", false}, {"audio", false}}},
      {"build_info", "tidal " TIDAL_VERSION},
      {"is_sleeping", false}};
  call.responder.send(json_reply(200, dump(reply)));
}

// A slot is a place among those that decode at the same time; those that run come first.
void get_slots(Service& service, HttpCall& call) {
  if (!service.options().slots) throw ApiError(501, "start the server with --slots");
  const std::vector<RequestInfo> running = service.engine().requests();
  const auto n_slots = static_cast<size_t>(service.options().n_slots);
  if (!call.request.query_value("fail_on_no_slot").empty() && running.size() >= n_slots) {
    throw ApiError(503, "no slot available");
  }
  Json slots = Json::array();
  for (size_t i = 0; i < n_slots; ++i) {
    const bool busy = i < running.size();
    const RequestInfo info = busy ? running[i] : RequestInfo{};
    slots.push_back(
        {{"id", i},
         {"n_ctx", service.request_context()},
         {"is_processing", busy},
         {"id_task", busy ? Json(info.id) : Json(-1)},
         {"n_prompt_tokens", info.prompt_tokens},
         {"n_prompt_tokens_cache", info.reused_tokens},
         {"next_token", Json::array({{{"n_remain", -1}, {"n_decoded", info.generated_tokens}}})}});
  }
  call.responder.send(json_reply(200, dump(slots)));
}

void post_slot(Service& service, HttpCall& call) {
  constexpr std::string_view kPrefix = "/slots/";
  const std::string_view id = std::string_view(call.request.path).substr(kPrefix.size());
  int64_t slot = -1;
  const auto [stop, error] = std::from_chars(id.data(), id.data() + id.size(), slot);
  if (error != std::errc() || stop != id.data() + id.size() || slot < 0 ||
      slot >= service.options().n_slots) {
    refuse("id", "there is no such slot");
  }
  const std::string_view action = call.request.query_value("action");
  if (action == "save" || action == "restore") {
    throw ApiError(501, "slots are not kept in files: what begins alike is found without");
  }
  if (action != "erase") refuse("action", "'action' has to be erase");
  service.forget_slot(slot);
  call.responder.send(json_reply(200, dump({{"id_slot", slot}, {"n_erased", 0}})));
}

void get_openapi(Service&, HttpCall& call) {
  static const std::string document = dump(openapi_document());
  call.responder.send(json_reply(200, document));
}

void get_metrics(Service& service, HttpCall& call) {
  if (!service.options().metrics) throw ApiError(501, "start the server with --metrics");
  HttpReply reply;
  reply.headers = {{"content-type", "text/plain; version=0.0.4; charset=utf-8"},
                   {"Process-Start-Time-Unix", std::to_string(service.started())}};
  reply.body = service.metrics_text();
  call.responder.send(std::move(reply));
}

void get_version(Service&, HttpCall& call) {
  call.responder.send(json_reply(200, dump({{"version", TIDAL_VERSION}})));
}

}  // namespace tidal::server
