// The bodies of requests, made from the tables of options and fields.
#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>

#include "server/call_fields.h"
#include "server/openapi.h"

namespace tidal::server {
namespace {

// Where the row's check turns.
void add_bounds(const Option& option, Json* schema) {
  const auto good = [&](const char* value) { return option.complaint(value).empty(); };
  if (!good("-2")) {
    if (good("-1")) {
      (*schema)["minimum"] = -1;
    } else if (good("0")) {
      (*schema)["minimum"] = 0;
    } else if (good("0.001")) {
      (*schema)["exclusiveMinimum"] = 0;
    } else {
      (*schema)["minimum"] = 1;
    }
  }
  if (!good("2")) {
    (*schema)["maximum"] = 1;
  } else if (!good("2147483648")) {
    (*schema)["maximum"] = 2147483647;
  }
}

Json choices_of(const Option& option) {
  Json choices = Json::array();
  std::string_view rest = option.range;
  while (!rest.empty()) {
    const std::string_view choice = rest.substr(0, rest.find(", "));
    choices.push_back(choice);
    rest.remove_prefix(std::min(rest.size(), choice.size() + 2));
  }
  return choices;
}

Json schema_of(const Option& option) {
  Json schema = {{"description", option.help + ": " + option.range}};
  switch (option.type) {
    case OptionType::kInteger:
      schema["type"] = "integer";
      add_bounds(option, &schema);
      break;
    case OptionType::kNumber:
      schema["type"] = "number";
      add_bounds(option, &schema);
      break;
    case OptionType::kSwitch:
      schema["type"] = "boolean";
      break;
    case OptionType::kTexts:
      schema["type"] = "array";
      schema["maxItems"] = 16;
      schema["items"] = {{"type", "string"}, {"maxLength", 256}};
      break;
    case OptionType::kChoice:
      schema["enum"] = choices_of(option);
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
Json generation_fields() {
  Json properties = options_of(OptionGroup::kGeneration);
  for (const CallField& field : call_fields()) {
    properties[std::string(field.name)] = Json::parse(field.schema);
  }
  Json tidal = options_of(OptionGroup::kAttention);
  tidal.update(options_of(OptionGroup::kDrafting));
  properties["tidal"] = {
      {"type", "object"}, {"additionalProperties", false}, {"properties", std::move(tidal)}};
  return properties;
}

constexpr const char* kText = R"({"type": "string"})";
constexpr const char* kSwitch = R"({"type": "boolean"})";
constexpr const char* kPrompt = R"({"anyOf": [{"type": "string", "minLength": 1},
    {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
    {"type": "array", "minItems": 1, "items": {"type": "integer", "minimum": 0}}]})";
constexpr const char* kMessages = R"({"type": "array", "minItems": 1, "items": {
    "type": "object", "required": ["role", "content"], "properties": {
      "role": {"enum": ["system", "user", "assistant"]},
      "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {
        "type": "object", "required": ["type", "text"], "properties": {
          "type": {"const": "text"}, "text": {"type": "string"}}}}]}}}})";
constexpr const char* kTools = R"({"type": "array", "items": {
    "type": "object", "required": ["type", "function"], "properties": {
      "type": {"const": "function"}, "function": {
        "type": "object", "required": ["name"], "properties": {
          "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
          "description": {"type": "string"}, "parameters": {"type": "object"}}}}}})";
constexpr const char* kInput = R"({"anyOf": [{"type": "string"}, {"type": "array", "items": {
    "type": "object", "required": ["role", "content"], "properties": {
      "type": {"const": "message"},
      "role": {"enum": ["system", "developer", "user", "assistant"]},
      "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {
        "type": "object", "required": ["type", "text"], "properties": {
          "type": {"enum": ["input_text", "output_text"]}, "text": {"type": "string"}}}}]}}}}]})";
constexpr const char* kDialogue = R"({"type": "array", "minItems": 1, "items": {
    "type": "object", "required": ["role", "content"], "properties": {
      "role": {"enum": ["user", "assistant"]},
      "content": {"anyOf": [{"type": "string"}, {"type": "array", "items": {
        "type": "object", "required": ["type", "text"], "properties": {
          "type": {"const": "text"}, "text": {"type": "string"}}}}]}}}})";
constexpr const char* kAnthropicTools = R"({"type": "array", "items": {
    "type": "object", "required": ["name", "input_schema"], "properties": {
      "name": {"type": "string", "pattern": "^[a-zA-Z0-9_-]{1,64}$"},
      "description": {"type": "string"}, "input_schema": {"type": "object"}}}})";
constexpr const char* kTokens = R"({"type": "array",
    "items": {"type": "integer", "minimum": 0, "maximum": 2147483647}})";

struct Own {
  const char* name;
  const char* schema;
};

// The fields of one API, of which the first is required, beside those of all.
Json body(std::initializer_list<Own> own, Json properties = Json::object()) {
  for (const Own& field : own) properties[field.name] = Json::parse(field.schema);
  return {
      {"type", "object"}, {"required", {own.begin()->name}}, {"properties", std::move(properties)}};
}

}  // namespace

Json request_schemas() {
  Json chat = generation_fields();
  chat.erase("prompt");
  Json tokenize = body({{"content", kText},
                        {"prompt", kText},
                        {"add_special", kSwitch},
                        {"add_special_tokens", kSwitch},
                        {"parse_special", kSwitch},
                        {"with_pieces", kSwitch},
                        {"return_token_strs", kSwitch}});
  Json complete = body({{"prompt", kPrompt}}, generation_fields());
  return {{"Chat", body({{"messages", kMessages}, {"tools", kTools}}, chat)},
          {"Completion", std::move(complete)},
          {"Responses", body({{"input", kInput}, {"instructions", kText}}, chat)},
          {"Messages",
           body({{"messages", kDialogue}, {"system", kText}, {"tools", kAnthropicTools}}, chat)},
          {"Tokenize", std::move(tokenize)},
          {"Detokenize", body({{"tokens", kTokens}})}};
}

}  // namespace tidal::server
