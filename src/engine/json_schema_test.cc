#include "engine/json_schema.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "engine/grammar.h"
#include "runtime/model_text.h"
#include "testing/error.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

using nlohmann::json;
using testing::HasSubstr;

struct Case {
  const char* schema;
  const char* complaint;  // a part of it
};

constexpr Case kRefused[] = {
    {R"({"not": {"type": "null"}})", "'not' at \"#\" is not supported"},
    {R"({"if": {}, "then": {}})", "'if'"},
    {R"({"type": "array", "items": {}, "contains": {}})", "'contains'"},
    {R"({"type": "array", "items": {}, "uniqueItems": true})", "'uniqueItems'"},
    {R"({"type": "object", "dependentRequired": {"a": ["b"]}})", "'dependentRequired'"},
    {R"({"type": "object", "dependencies": {"a": ["b"]}})", "'dependencies'"},
    {R"({"$dynamicRef": "#a"})", "'$dynamicRef'"},
    // What decides alone.
    {R"({"allOf": [{"type": "object"}, {"type": "object"}]})", "'allOf' at \"#\" has 2 parts"},
    {R"({"allOf": []})", "has 0 parts"},
    {R"({"type": "object", "properties": {"a": {}}, "anyOf": [{"type": "object"}]})",
     "'properties' at \"#\" does not count beside 'anyOf'"},
    {R"({"type": "object", "anyOf": [{"required": ["a"]}]})", "'type' at \"#\" does not count"},
    {R"({"type": "string", "enum": ["a", 1]})", "'type'"},
    {R"({"type": "integer", "const": 1.5})", "'type'"},
    {R"({"enum": ["a", "b"], "pattern": "a"})", "'pattern' at \"#\" does not count beside 'enum'"},
    {R"({"enum": ["a", "b"], "const": "a"})", "'enum' at \"#\" does not count beside 'const'"},
    {R"({"$defs": {"a": {"type": "object"}}, "$ref": "#/$defs/a", "required": ["b"]})",
     "'required' at \"#\" does not count beside '$ref'"},
    {R"({"$ref": "https://example.com/schema"})", "'$ref' at \"#\" leads out"},
    {R"({"$ref": "#anchor"})", "leads out"},
    // What needs a type.
    {R"({"minimum": 5})", "'minimum' at \"#\" needs a 'type'"},
    {R"({"required": ["a"]})", "'required' at \"#\" needs a 'type'"},
    {R"({"maxItems": 2})", "'maxItems'"},
    // What holds in some company only.
    {R"({"type": "number", "multipleOf": 0.01})", "'multipleOf'"},
    {R"({"type": "integer", "multipleOf": 2000})", "up to 1024"},
    {R"({"type": "integer", "multipleOf": 5, "minimum": 0})", "'multipleOf'"},
    {R"({"type": "integer", "multipleOf": 5, "minimum": 0, "maximum": 10000})", "'multipleOf'"},
    {R"({"type": "string", "pattern": "^a+$", "maxLength": 3})",
     "'maxLength' at \"#\" does not count beside 'pattern'"},
    {R"({"type": "string", "format": "date", "pattern": "^2"})", "'pattern'"},
    {R"({"type": ["string", "null"], "format": "email", "minLength": 9})", "'minLength'"},
    {R"({"type": "string", "pattern": "^(?!a).*$"})", "'pattern' at \"#\" looks ahead"},
    {R"({"type": "string", "pattern": "[^é]"})", "'pattern' at \"#\" has characters beyond ASCII"},
    {R"({"type": "string", "pattern": "^\"a"})", "stands escaped in JSON"},
    {R"({"type": "string", "pattern": "^a\\nb$"})", "stands escaped in JSON"},
    {R"({"type": "string", "pattern": "^[^a]{2,129}$"})", "counts beyond 128"},
    {R"({"type": "string", "pattern": "^a{9999999999999999999999}$"})", "counts beyond 128"},
    {R"({"type": "object", "patternProperties": {"^é": {}}})", "'patternProperties'"},
    {R"({"type": "object", "propertyNames": {"pattern": "^a{129}"}})", "#/propertyNames"},
    {R"({"type": "string", "format": "json-pointer"})", "'format'"},
    {R"({"type": "object", "properties": {"a": {}}, "required": ["a", "b"]})", "names \"b\""},
    {R"({"type": "object", "required": ["a"]})", "names \"a\""},
    {R"({"properties": {"a": {}}, "patternProperties": {"^b": {}}})", "'patternProperties'"},
    {R"({"type": "object", "patternProperties": {"^a": {}, "b$": {}}})", "several patterns"},
    {R"({"properties": {"a": {}}, "propertyNames": {"pattern": "^b"}})", "'propertyNames'"},
    {R"({"type": "object", "minProperties": 2})", "'minProperties' at \"#\" is read for at most 1"},
    {R"({"properties": {"a": {}}, "additionalProperties": {}, "minProperties": 2})", "'minProp"},
    {R"({"type": "object", "patternProperties": {"^a": {}}, "minProperties": 2})", "'minProp"},
    {R"({"properties": {"a": {}, "b": {}}, "required": ["a", "b"], "additionalProperties": true,
         "minProperties": 3})",
     "at most 2"},
    // Where.
    {R"({"properties": {"a": {"items": {"not": {}}}}})", "'not' at \"#/properties/a/items\""},
    {R"({"anyOf": [{}, {"prefixItems": [{"not": {}}]}]})", "\"#/anyOf/prefixItems\""},
    {R"({"$defs": {"a": {"anyOf": [{"not": {}}]}}, "properties": {"b": {"$ref": "#/$defs/a"}}})",
     "\"#/$defs/a/anyOf\""},
    {R"({"properties": {"propertyNames": {"pattern": "a"}}})", "needs a 'type'"},
};

constexpr const char* kTaken[] = {
    "true",
    "{}",
    R"({"title": "t", "description": "d", "default": 1, "examples": [1], "x-own": {"not": {}}})",
    R"({"type": "object", "properties": {"not": {}, "if": {}, "allOf": {}}, "required": ["if"]})",
    R"({"const": {"not": 1, "allOf": [1, 2]}})",
    R"({"type": "string", "enum": ["a", "b"], "minimum": 5, "format": "date"})",
    R"({"type": ["string", "null"], "enum": ["a", null]})",
    R"({"type": "number", "const": 1})",
    R"({"type": "object", "allOf": [{"$ref": "#/$defs/a"}], "$defs": {"a": {"type": "object"}}})",
    R"({"type": "object", "anyOf": [{"type": "object"}, {"properties": {"a": {}}}]})",
    R"({"$defs": {"unused": {"not": {}}}, "type": "null"})",
    R"({"properties": {"next": {"$ref": "#"}}})",
    R"({"type": "array", "items": {}, "uniqueItems": false, "minItems": 1, "maxItems": 3})",
    R"({"type": "array", "prefixItems": [{"type": "null"}], "items": false})",
    R"({"type": "integer", "multipleOf": 5})",
    R"({"type": "integer", "multipleOf": 5, "minimum": 0, "exclusiveMaximum": 100})",
    R"({"type": "number", "multipleOf": 1, "minimum": 0.5})",
    R"({"type": "string", "format": "password", "minLength": 8})",
    R"({"type": "string", "pattern": "^a\\(?=$"})",
    R"({"type": "string", "pattern": "^[^\"\\\\\\n]{1,128}\\d{3,}\\u00e9$"})",
    R"({"type": "string", "pattern": "a", "minLength": 0})",
    R"({"type": "object", "patternProperties": {"^a": {"type": "null"}}})",
    R"({"type": "object", "propertyNames": {"maxLength": 3}, "properties": {}, "required": []})",
    R"({"type": "object", "additionalProperties": {"type": "null"}, "minProperties": 1})",
    R"({"type": "object", "properties": {"a": {}, "b": {}, "c": {}}, "minProperties": 2})",
    R"({"properties": {"a": {}, "b": {}}, "additionalProperties": false, "minProperties": 2})",
    R"({"properties": {"a": {}, "b": {}}, "required": ["a", "b"], "additionalProperties": true,
        "minProperties": 2})",
};

TEST(JsonSchema, WhatWouldNotHoldIsRefused) {
  for (const auto& [schema, complaint] : kRefused) {
    SCOPED_TRACE(schema);
    expect_error(ErrorCode::kInvalidArgument, {"the JSON schema cannot be used", complaint},
                 [&schema = schema] { check_json_schema(json::parse(schema)); });
  }
}

TEST(JsonSchema, WhatHoldsIsTaken) {
  GrammarCompiler compiler(load_tokenizer(data_path("tiny-llama.gguf")), 259);
  for (const char* schema : kTaken) {
    SCOPED_TRACE(schema);
    EXPECT_NO_THROW(check_json_schema(json::parse(schema)));
    if (!GrammarCompiler::is_built_in()) continue;
    EXPECT_NO_THROW(compiler.compile({GrammarKind::kJsonSchema, schema}));
  }
}

// References that go around, and many that lead to the same place under other names.
TEST(JsonSchema, EndsInTime) {
  json schema = {{"$defs", json::object()}, {"properties", json::object()}};
  for (int i = 0; i < 3000; ++i) {
    const std::string name = fmt::format("/$defs/{}", (i + 1) % 3000);
    const json around = {{"$ref", fmt::format("#{}", name)}};
    schema["$defs"][std::to_string(i)] = {{"anyOf", {around, around}}};
    schema["properties"][std::to_string(i)] = {
        {"$ref", fmt::format("#{}{}", std::string(static_cast<size_t>(i % 50), '/'), name)}};
  }
  EXPECT_NO_THROW(check_json_schema(schema));
}

}  // namespace
}  // namespace tidal::test
