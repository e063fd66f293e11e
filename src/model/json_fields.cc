#include "model/json_fields.h"

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/fail.h"

namespace tidal {

JsonFields::JsonFields(const nlohmann::json& json, std::string source)
    : json_(&json), source_(std::move(source)) {
  if (!json.is_object()) fail(ErrorCode::kCorrupt, "{}: not a JSON object", source_);
}

const nlohmann::json* JsonFields::find(std::string_view key) const {
  const auto it = json_->find(key);
  return it == json_->end() || it->is_null() ? nullptr : &*it;
}

void JsonFields::fail_type(std::string_view key, std::string_view expected) const {
  fail(ErrorCode::kCorrupt, "{}: {}{} is not {}", source_, prefix_, key, expected);
}

void JsonFields::fail_absent(std::string_view key) const {
  fail(ErrorCode::kCorrupt, "{}: {}{} is missing", source_, prefix_, key);
}

bool JsonFields::has(std::string_view key) const { return json_->contains(key); }

std::optional<int64_t> JsonFields::find_int(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_number_unsigned()) {
    const uint64_t number = value->get<uint64_t>();
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      fail_type(key, "a 64-bit integer");
    }
    return static_cast<int64_t>(number);
  }
  if (value->is_number_integer()) return value->get<int64_t>();
  // Some tools write 8192.0; up to 2^53 that is still exact.
  if (value->is_number_float()) {
    const double number = value->get<double>();
    if (std::trunc(number) == number && std::abs(number) <= 0x1p53) {
      return static_cast<int64_t>(number);
    }
  }
  fail_type(key, "an integer");
}

std::optional<double> JsonFields::find_float(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_number() || !std::isfinite(value->get<double>())) fail_type(key, "a number");
  return value->get<double>();
}

std::optional<bool> JsonFields::find_bool(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_boolean()) fail_type(key, "true or false");
  return value->get<bool>();
}

std::optional<std::string> JsonFields::find_string(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_string()) fail_type(key, "a string");
  return value->get<std::string>();
}

std::vector<std::string> JsonFields::find_strings(std::string_view key) const {
  std::vector<std::string> strings;
  const nlohmann::json* value = find(key);
  if (value == nullptr) return strings;
  if (!value->is_array()) fail_type(key, "a list of strings");
  for (const nlohmann::json& element : *value) {
    if (!element.is_string()) fail_type(key, "a list of strings");
    strings.push_back(element.get<std::string>());
  }
  return strings;
}

std::optional<JsonFields> JsonFields::find_object(std::string_view key) const {
  const nlohmann::json* value = find(key);
  if (value == nullptr) return std::nullopt;
  if (!value->is_object()) fail_type(key, "an object");
  JsonFields fields(*value, source_);
  fields.prefix_ = prefix_ + std::string(key) + ".";
  return fields;
}

int64_t JsonFields::require_int(std::string_view key) const {
  const std::optional<int64_t> value = find_int(key);
  if (!value) fail_absent(key);
  return *value;
}

double JsonFields::require_float(std::string_view key) const {
  const std::optional<double> value = find_float(key);
  if (!value) fail_absent(key);
  return *value;
}

std::string JsonFields::require_string(std::string_view key) const {
  std::optional<std::string> value = find_string(key);
  if (!value) fail_absent(key);
  return *std::move(value);
}

}  // namespace tidal
