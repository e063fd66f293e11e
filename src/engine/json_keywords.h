// What xgrammar 0.2.8 makes of the keywords of a JSON schema (json_schema_converter.cc), in tables:
// json_schema.cc holds schemas against them.
#pragma once

#include <array>
#include <string_view>

namespace tidal::json_keywords {

using std::string_view;

// Sets of types, one bit each. A number is an integer or has a fraction.
enum Types : unsigned {
  kNull = 1,
  kBoolean = 2,
  kInteger = 4,
  kNumber = 4 | 8,
  kString = 16,
  kArray = 32,
  kObject = 64,
  kAny = 127,
};

struct Named {
  string_view name;
  unsigned types;  // of the values that it says something about
};

inline constexpr std::array kTypes{Named{"null", kNull},       Named{"boolean", kBoolean},
                                   Named{"integer", kInteger}, Named{"number", kNumber},
                                   Named{"string", kString},   Named{"array", kArray},
                                   Named{"object", kObject}};

inline constexpr std::array kNeverRead{
    Named{"not", kAny},
    Named{"if", kAny},
    Named{"$dynamicRef", kAny},
    Named{"$recursiveRef", kAny},
    Named{"contains", kArray},
    Named{"uniqueItems", kArray},
    Named{"dependentRequired", kObject},
    Named{"dependentSchemas", kObject},
    Named{"dependencies", kObject},
};

// Of these the first one decides alone.
inline constexpr std::array<string_view, 6> kDeciding{"$ref",  "const", "enum",
                                                      "anyOf", "oneOf", "allOf"};

// Read where the type is known, and where nothing decides alone.
inline constexpr std::array kReadByType{
    Named{"minimum", kNumber},
    Named{"maximum", kNumber},
    Named{"exclusiveMinimum", kNumber},
    Named{"exclusiveMaximum", kNumber},
    Named{"multipleOf", kNumber},
    Named{"pattern", kString},
    Named{"minLength", kString},
    Named{"maxLength", kString},
    Named{"items", kArray},
    Named{"prefixItems", kArray},
    Named{"unevaluatedItems", kArray},
    Named{"minItems", kArray},
    Named{"maxItems", kArray},
    Named{"properties", kObject},
    Named{"required", kObject},
    Named{"patternProperties", kObject},
    Named{"propertyNames", kObject},
    Named{"additionalProperties", kObject},
    Named{"unevaluatedProperties", kObject},
    Named{"minProperties", kObject},
    Named{"maxProperties", kObject},
};
// These tell the type where "type" does not.
inline constexpr std::array kTellObject{"properties", "additionalProperties",
                                        "unevaluatedProperties"};
inline constexpr std::array kTellArray{"items", "prefixItems", "unevaluatedItems"};

struct Pair {
  string_view keyword;
  string_view beside;  // which is read instead
};
inline constexpr std::array kPairs{
    Pair{"minLength", "pattern"},        Pair{"maxLength", "pattern"},
    Pair{"pattern", "format"},           Pair{"minLength", "format"},
    Pair{"maxLength", "format"},         Pair{"patternProperties", "properties"},
    Pair{"propertyNames", "properties"}, Pair{"propertyNames", "patternProperties"},
};
// Others say nothing about what a string may be.
inline constexpr std::array<string_view, 14> kFormats{"email",         "date",
                                                      "time",          "date-time",
                                                      "duration",      "ipv4",
                                                      "ipv6",          "uuid",
                                                      "uri",           "hostname",
                                                      "uri-reference", "uri-template",
                                                      "json-pointer",  "relative-json-pointer"};

// Which let quotation marks through that JSON escapes.
inline constexpr std::array<string_view, 2> kLooseFormats{"json-pointer", "relative-json-pointer"};

inline constexpr std::array kOneSchema{"items", "additionalProperties", "unevaluatedProperties",
                                       "unevaluatedItems", "propertyNames"};
inline constexpr std::array kNamedSchemas{"properties", "patternProperties"};
inline constexpr std::array kListedSchemas{"prefixItems", "anyOf", "oneOf", "allOf"};

}  // namespace tidal::json_keywords
