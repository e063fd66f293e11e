#include "server/openapi.h"

#include <string>

#include "server/call_fields.h"
#include "server/endpoints.h"
#include "tidal/version.h"

namespace tidal::server {
namespace {

Json schema_of(const Option& option) {
  Json schema = {{"description", option.help + ": " + option.range}};
  switch (option.type) {
    case OptionType::kInteger:
      schema["type"] = "integer";
      break;
    case OptionType::kNumber:
      schema["type"] = "number";
      break;
    case OptionType::kSwitch:
      schema["type"] = "boolean";
      break;
    case OptionType::kTexts:
      schema["type"] = "array";
      schema["items"] = {{"type", "string"}};
      break;
    default:
      schema["type"] = "string";
  }
  return schema;
}

Json options_of(OptionGroup group) {
  Json properties = Json::object();
  for (const Option& option : option_table()) {
    if (option.group == group) properties[option.name] = schema_of(option);
  }
  return properties;
}

// What all endpoints that generate take.
Json generate_schema() {
  Json properties = options_of(OptionGroup::kGeneration);
  for (const CallField& field : call_fields()) {
    properties[std::string(field.name)] = Json::parse(field.schema);
  }
  properties["tidal"] = {{"type", "object"},
                         {"additionalProperties", false},
                         {"properties", options_of(OptionGroup::kAttention)}};
  return {{"type", "object"}, {"properties", std::move(properties)}};
}

Json responses() {
  Json all = Json::object();
  const auto add = [&](const char* status, const char* description, const char* schema) {
    all[status] = {{"description", description}};
    if (*schema != '\0') {
      all[status]["content"]["application/json"]["schema"]["$ref"] =
          std::string("#/components/schemas/") + schema;
    }
  };
  add("200", "The answer", "");
  add("400", "The request is at fault", "Error");
  add("401", "An API key is needed", "Error");
  add("403", "The Host header names another machine", "Error");
  add("413", "The body is too large", "Error");
  add("429", "Too many requests wait", "Error");
  add("501", "This server does not have it", "Error");
  add("503", "The server is not ready, or ends", "Error");
  return all;
}

Json operation(const Endpoint& endpoint) {
  Json result = {{"summary", endpoint.summary}, {"responses", responses()}};
  if (endpoint.method == "POST") {
    Json schema = {{"type", "object"}};
    if (endpoint.generates) schema = {{"$ref", "#/components/schemas/Generate"}};
    result["requestBody"] = {{"content", {{"application/json", {{"schema", schema}}}}}};
  }
  if (endpoint.path.ends_with("/{id}")) {
    result["parameters"] = Json::array({{{"name", "id"},
                                         {"in", "path"},
                                         {"required", true},
                                         {"schema", {{"type", "integer"}, {"minimum", 0}}}},
                                        {{"name", "action"},
                                         {"in", "query"},
                                         {"required", true},
                                         {"schema", {{"enum", {"erase", "save", "restore"}}}}}});
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
  return {{"openapi", "3.1.0"},
          {"info", {{"title", "tidal"}, {"version", TIDAL_VERSION}}},
          {"paths", std::move(paths)},
          {"components",
           {{"schemas",
             {{"Generate", generate_schema()},
              {"Error",
               {{"type", "object"}, {"properties", {{"error", error}}}, {"required", {"error"}}}}}},
            {"securitySchemes", {{"key", {{"type", "http"}, {"scheme", "bearer"}}}}}}}};
}

}  // namespace tidal::server
