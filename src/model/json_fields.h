// JsonFields: checked access to the fields of a JSON object from an untrusted file.
//
// A view: the object must outlive it. null counts as absent. A value of another type than
// requested, or out of range, is Error(kCorrupt) naming file and key ("config.json:
// rope_scaling.factor").
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace tidal {

class JsonFields {
 public:
  // Throws Error(kCorrupt) unless json is an object. source: the file, for messages.
  JsonFields(const nlohmann::json& json, std::string source);

  const std::string& source() const { return source_; }

  bool has(std::string_view key) const;  // also true for null
  std::optional<int64_t> find_int(std::string_view key) const;
  std::optional<double> find_float(std::string_view key) const;  // finite
  std::optional<bool> find_bool(std::string_view key) const;
  std::optional<std::string> find_string(std::string_view key) const;
  std::vector<std::string> find_strings(std::string_view key) const;  // empty when absent
  std::optional<JsonFields> find_object(std::string_view key) const;

  int64_t require_int(std::string_view key) const;
  double require_float(std::string_view key) const;
  std::string require_string(std::string_view key) const;

 private:
  const nlohmann::json* find(std::string_view key) const;
  [[noreturn]] void fail_type(std::string_view key, std::string_view expected) const;
  [[noreturn]] void fail_absent(std::string_view key) const;

  const nlohmann::json* json_;
  std::string source_;
  std::string prefix_;  // "rope_scaling." inside that object
};

}  // namespace tidal
