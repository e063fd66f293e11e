#include "server/openapi.h"

#include <string>
#include <utility>

#include "server/endpoints.h"
#include "tidal/version.h"

namespace tidal::server {
namespace {

Json reference(std::string_view schema) {
  return {{"$ref", "#/components/schemas/" + std::string(schema)}};
}

Json responses() {
  Json all = Json::object();
  const auto add = [&](const char* status, const char* description, const char* schema) {
    all[status] = {{"description", description}};
    if (*schema != '\0') {
      all[status]["content"]["application/json"]["schema"] = reference(schema);
    }
  };
  add("200", "The answer", "");
  add("400", "The request is at fault", "Error");
  add("401", "An API key is needed", "Error");
  add("403", "The Host header names another machine", "Error");
  add("404", "There is no such path or model", "Error");
  add("413", "The body is too large", "Error");
  add("429", "Too many requests wait", "Error");
  add("501", "This server does not have it", "Error");
  add("503", "The server is not ready, or ends", "Error");
  return all;
}

Json parameter(const char* name, const char* in, Json schema) {
  return {{"name", name}, {"in", in}, {"required", true}, {"schema", std::move(schema)}};
}

Json operation(const Endpoint& endpoint) {
  Json result = {{"summary", endpoint.summary}, {"responses", responses()}};
  if (endpoint.method == "POST") {
    Json schema = {{"type", "object"}};
    if (!endpoint.request.empty()) schema = reference(endpoint.request);
    result["requestBody"] = {{"content", {{"application/json", {{"schema", schema}}}}}};
  }
  if (endpoint.path.ends_with("/{model}")) {
    result["parameters"] = Json::array({parameter("model", "path", {{"type", "string"}})});
  } else if (endpoint.path.ends_with("/{id}")) {
    result["parameters"] =
        Json::array({parameter("id", "path", {{"type", "integer"}, {"minimum", 0}}),
                     parameter("action", "query", {{"enum", {"erase", "save", "restore"}}})});
  }
  return result;
}

}  // namespace

Json openapi_document() {
  Json paths = Json::object();
  for (const Endpoint& endpoint : endpoints()) {
    std::string method(endpoint.method == "GET" ? "get" : "post");
    paths[std::string(endpoint.path)][method] = operation(endpoint);
  }
  const Json text = {{"type", "string"}};
  const Json error = {{"type", "object"},
                      {"properties",
                       {{"code", {{"type", "integer"}}},
                        {"message", text},
                        {"type", text},
                        {"param", {{"type", {"string", "null"}}}}}},
                      {"required", {"code", "message", "type"}}};
  Json schemas = request_schemas();
  schemas["Error"] = {
      {"type", "object"}, {"properties", {{"error", error}}}, {"required", {"error"}}};
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "tidal"}, {"version", TIDAL_VERSION}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas", std::move(schemas)},
            {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace tidal::server
