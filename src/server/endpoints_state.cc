// What the server says about itself.
#include "base/json.h"
#include "server/call_fields.h"
#include "server/endpoints.h"
#include "server/format.h"
#include "server/http_text.h"
#include "tidal/version.h"

namespace tidal::server {

void get_models(Service& service, HttpCall& call) {
  const Engine& engine = service.engine();
  Json model = {{"id", service.model_name()},
                {"object", "model"},
                {"created", service.started()},
                {"owned_by", "tidal"},
                {"aliases", service.options().aliases},
                {"tags", service.options().tags},
                {"max_model_len", service.request_context()},
                {"meta",
                 {{"n_ctx", service.request_context()},
                  {"n_ctx_train", engine.trained_context()}}}};
  call.responder.send(
      json_reply(200, dump({{"object", "list"}, {"data", Json::array({std::move(model)})}})));
}

void get_props(Service& service, HttpCall& call) {
  GenerateCall defaults;
  defaults.options = service.options().defaults;
  const Json settings = settings_json(defaults);
  Json reply = {{"default_generation_settings",
                 {{"n_ctx", service.request_context()}, {"params", settings}}},
                {"total_slots", service.options().n_slots},
                {"model_alias", service.model_name()},
                {"model_path", service.options().model_path},
                {"modalities", {{"vision", false}, {"audio", false}}},
                {"build_info", "tidal " TIDAL_VERSION},
                {"is_sleeping", false}};
  call.responder.send(json_reply(200, dump(reply)));
}

void get_version(Service&, HttpCall& call) {
  call.responder.send(json_reply(200, dump({{"version", TIDAL_VERSION}})));
}

}  // namespace tidal::server
