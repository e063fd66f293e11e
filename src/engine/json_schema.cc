#include "engine/json_schema.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/fail.h"
#include "base/quote.h"
#include "engine/json_keywords.h"
#include "engine/json_pattern.h"

namespace tidal {
namespace {

using namespace json_keywords;
using Json = nlohmann::json;
using std::string_view;

const Json* find(const Json& object, string_view name) {
  const auto found = object.find(name);
  return found == object.end() ? nullptr : &*found;
}

template <typename Names>
bool is_one_of(const Names& names, const Json& name) {
  const std::string* text = name.get_ptr<const std::string*>();
  return text != nullptr && std::ranges::find(names, *text) != names.end();
}

// Whether a keyword is there and means something.
bool has(const Json& schema, string_view name) {
  const Json* value = find(schema, name);
  if (value == nullptr) return false;
  constexpr std::array<string_view, 6> kMaps{"properties",       "patternProperties",
                                             "required",         "dependentRequired",
                                             "dependentSchemas", "dependencies"};
  if (std::ranges::find(kMaps, name) != kMaps.end()) return !value->empty();
  if (name == "uniqueItems") return *value != false;
  if (name == "multipleOf") return *value != 1;
  if (name == "minLength") return *value != 0;
  if (name == "format") return is_one_of(kFormats, *value);
  return true;
}

template <typename Names>
bool has_any(const Json& schema, const Names& names) {
  return std::ranges::any_of(names, [&](string_view name) { return schema.contains(name); });
}

// Whether an object has no other names than its "properties", which come once each.
bool is_closed(const Json& schema) {
  for (const char* more : {"additionalProperties", "unevaluatedProperties"}) {
    if (const Json* value = find(schema, more); value != nullptr && *value != false) return false;
  }
  if (has(schema, "patternProperties") || has(schema, "propertyNames")) return false;
  return has(schema, "properties") || schema.contains("additionalProperties") ||
         schema.contains("unevaluatedProperties");
}

string_view deciding(const Json& schema) {
  const auto found =
      std::ranges::find_if(kDeciding, [&](string_view name) { return schema.contains(name); });
  return found == kDeciding.end() ? string_view() : *found;
}

unsigned type_of(const Json& value) {
  if (value.is_null()) return kNull;
  if (value.is_boolean()) return kBoolean;
  if (value.is_number_integer()) return kInteger;
  if (value.is_number()) return std::trunc(value.get<double>()) == value ? kInteger : kNumber;
  if (value.is_string()) return kString;
  return value.is_array() ? kArray : kObject;
}

unsigned types_named(const Json& name) {
  unsigned types = 0;
  for (const Json& one : name.is_array() ? name : Json::array({name})) {
    for (const Named& type : kTypes) {
      if (one == std::string(type.name)) types |= type.types;
    }
  }
  return types;
}

class Checker {
 public:
  explicit Checker(const Json& root) : root_(root) {}

  void run() {
    follow("#", root_);
    for (size_t i = 0; i < starts_.size(); ++i) {
      path_ = {starts_[i].first};
      check(*starts_[i].second);
    }
  }

 private:
  template <typename... Args>
  [[noreturn]] void refuse(string_view keyword, fmt::format_string<Args...> format,
                           Args&&... args) const {
    std::string place(path_.front());
    for (size_t i = 1; i < path_.size(); ++i) place += fmt::format("/{}", path_[i]);
    fail(ErrorCode::kInvalidArgument, "the JSON schema cannot be used: '{}' at {} {}", keyword,
         quote(place, 120), fmt::format(format, std::forward<Args>(args)...));
  }

  // Places that references lead to are checked once each, and not on the way: they may go around.
  void follow(string_view uri, const Json& schema) {
    if (is_start_.insert(&schema).second) starts_.emplace_back(uri, &schema);
  }

  // As xgrammar finds it; null where there is nothing, which it refuses.
  const Json* target(string_view uri) const {
    const Json* at = &root_;
    uri.remove_prefix(1);
    while (at != nullptr && !uri.empty()) {
      const string_view part = uri.substr(0, uri.find('/'));
      uri.remove_prefix(std::min(uri.size(), part.size() + 1));
      if (part.empty()) continue;
      at = at->is_object() ? find(*at, part) : nullptr;
    }
    return at;
  }

  static bool is_inside(string_view uri) { return uri == "#" || uri.starts_with("#/"); }

  // The types that a schema leaves; what goes around adds none, and what is too far away may be
  // any.
  unsigned types_of(const Json& schema) {
    constexpr int kDeepest = 256;
    if (!schema.is_object() || depth_ == kDeepest) return kAny;
    const auto [place, is_new] = types_.emplace(&schema, 0);
    if (!is_new) return place->second;
    ++depth_;
    const unsigned types = find_types(schema);
    --depth_;
    return types_[&schema] = types;
  }

  unsigned find_types(const Json& schema) {
    const string_view keyword = deciding(schema);
    if (!keyword.empty()) return types_left_by(keyword, schema[keyword]);
    if (const Json* type = find(schema, "type")) return types_named(*type);
    if (has_any(schema, kTellObject)) return kObject;
    return has_any(schema, kTellArray) ? kArray : kAny;
  }

  unsigned types_left_by(string_view keyword, const Json& value) {
    if (keyword == "const") return type_of(value);
    if (keyword == "$ref") {
      const std::string* uri = value.get_ptr<const std::string*>();
      const Json* to = uri != nullptr && is_inside(*uri) ? target(*uri) : nullptr;
      return to != nullptr ? types_of(*to) : kAny;
    }
    unsigned types = 0;
    if (!value.is_array()) return kAny;
    for (const Json& part : value) types |= keyword == "enum" ? type_of(part) : types_of(part);
    return types;
  }

  // of_names: of the names of properties, which need not say that they are strings.
  void check(const Json& schema, bool of_names = false) {
    if (!schema.is_object()) return;
    const unsigned types = types_of(schema);
    for (const Named& one : kNeverRead) {
      if ((one.types & types) != 0 && has(schema, one.name)) {
        refuse(one.name, "is not supported, leave it out");
      }
    }
    const string_view keyword = deciding(schema);
    if (!keyword.empty()) {
      check_beside(schema, keyword, types);
    } else {
      if (types == kAny && !schema.contains("type")) check_untyped(schema, of_names);
      check_types(schema, types);
    }
    check_inside(schema);
  }

  void check_untyped(const Json& schema, bool of_names) const {
    for (const Named& one : kReadByType) {
      if (of_names && one.types == kString) continue;
      if (has(schema, one.name)) refuse(one.name, "needs a 'type' beside it");
    }
  }

  void check_beside(const Json& schema, string_view keyword, unsigned types) {
    const Json& value = schema[keyword];
    if (keyword == "$ref" && value.is_string()) {
      const auto& uri = value.get_ref<const std::string&>();
      if (!is_inside(uri)) refuse(keyword, "leads out of the schema: only #/... is read");
      if (const Json* to = target(uri)) follow(uri, *to);
    }
    if (keyword == "allOf" && value.is_array() && value.size() != 1) {
      refuse(keyword, "has {} parts: join them into one", value.size());
    }
    const Json* type = find(schema, "type");
    if (type != nullptr && (types & ~types_named(*type)) != 0) {
      refuse("type", "does not count beside '{}', which leaves other types too", keyword);
    }
    for (const string_view other : kDeciding) {
      if (other != keyword && schema.contains(other)) {
        refuse(other, "does not count beside '{}'", keyword);
      }
    }
    for (const Named& one : kReadByType) {
      if ((one.types & types) != 0 && has(schema, one.name)) {
        refuse(one.name, "does not count beside '{}'", keyword);
      }
    }
  }

  void check_types(const Json& schema, unsigned types) {
    if ((types & kNumber) != 0 && has(schema, "multipleOf")) check_multiple(schema, types);
    if ((types & kString) != 0) check_strings(schema);
    for (const auto& [keyword, beside] : kPairs) {
      const auto row = std::ranges::find(kReadByType, keyword, &Named::name);
      if ((row->types & types) != 0 && has(schema, keyword) && has(schema, beside)) {
        refuse(keyword, "does not count beside '{}'", beside);
      }
    }
    if ((types & kObject) == 0) return;
    check_objects(schema);
  }

  void check_objects(const Json& schema) const {
    if (has(schema, "patternProperties")) check_patterns(schema["patternProperties"]);
    if (const Json* least = find(schema, "minProperties")) check_least(schema, *least);
    const Json* required = find(schema, "required");
    if (required == nullptr || !required->is_array()) return;
    const Json* properties = find(schema, "properties");
    for (const Json& name : *required) {
      if (!name.is_string()) continue;
      const auto& text = name.get_ref<const std::string&>();
      if (properties != nullptr && properties->contains(text)) continue;
      refuse("required", "names {}, which is not among the 'properties'", quote(text, 40));
    }
  }

  // xgrammar counts a name that comes twice as two.
  void check_least(const Json& schema, const Json& least) const {
    const Json* required = find(schema, "required");
    const size_t n_required = required != nullptr && required->is_array() ? required->size() : 0;
    if (!least.is_number() || least <= std::max<size_t>(1, n_required) || is_closed(schema)) return;
    refuse("minProperties",
           "is read for at most {} where names may come twice: end the object with "
           "'additionalProperties': false, or leave it out",
           std::max<size_t>(1, n_required));
  }

  // In bounds the multiples are listed.
  void check_multiple(const Json& schema, unsigned types) const {
    constexpr double kMostMultiple = 1024;
    constexpr double kWidest = 10000;
    const auto bound = [&](const char* name, const char* exclusive) {
      const Json* value = find(schema, name);
      if (value == nullptr) value = find(schema, exclusive);
      return value != nullptr && value->is_number() ? value->get<double>() : std::nan("");
    };
    const Json& multiple = schema["multipleOf"];
    const double low = bound("minimum", "exclusiveMinimum");
    const double high = bound("maximum", "exclusiveMaximum");
    const bool bounded_well = std::isnan(low) ? std::isnan(high) : high - low < kWidest;
    if ((types & kNumber) == kInteger && multiple.is_number() && type_of(multiple) == kInteger &&
        multiple <= kMostMultiple && bounded_well) {
      return;
    }
    refuse("multipleOf",
           "is read for integers alone, up to {}, without bounds or with two less than {} apart",
           kMostMultiple, kWidest);
  }

  void check_patterns(const Json& patterns) const {
    if (!patterns.is_object()) return;
    if (patterns.size() > 1) {
      refuse("patternProperties", "has several patterns, which may both match: give one");
    }
    const string_view fault = fault_of_pattern(patterns.begin().key());
    if (!fault.empty()) refuse("patternProperties", "{}", fault);
  }

  void check_strings(const Json& schema) const {
    const Json* format = find(schema, "format");
    if (format != nullptr && is_one_of(kLooseFormats, *format)) {
      refuse("format", "is not supported where it is {}", quote(format->get<std::string>(), 40));
    }
    const Json* pattern = find(schema, "pattern");
    if (pattern == nullptr || !pattern->is_string()) return;
    const string_view fault = fault_of_pattern(pattern->get_ref<const std::string&>());
    if (!fault.empty()) refuse("pattern", "{}", fault);
  }

  void check_inside(const Json& schema) {
    const auto enter = [&](string_view name, const Json& inside) {
      path_.push_back(name);
      check(inside, /*of_names=*/&inside == find(schema, "propertyNames"));
      path_.pop_back();
    };
    for (const char* name : kOneSchema) {
      if (const Json* inside = find(schema, name)) enter(name, *inside);
    }
    for (const char* name : kNamedSchemas) {
      const Json* all = find(schema, name);
      if (all == nullptr || !all->is_object()) continue;
      path_.emplace_back(name);
      for (const auto& [key, inside] : all->items()) enter(key, inside);
      path_.pop_back();
    }
    for (const char* name : kListedSchemas) {
      const Json* all = find(schema, name);
      if (all == nullptr || !all->is_array()) continue;
      for (const Json& inside : *all) enter(name, inside);
    }
  }

  const Json& root_;
  std::vector<string_view> path_;  // to what is being checked
  std::vector<std::pair<string_view, const Json*>> starts_;
  std::unordered_set<const Json*> is_start_;
  std::unordered_map<const Json*, unsigned> types_;
  int depth_ = 0;  // of types_of()
};

}  // namespace

void check_json_schema(const Json& schema) { Checker(schema).run(); }

}  // namespace tidal
