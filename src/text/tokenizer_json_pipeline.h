// The processing steps of a tokenizer.json (normalizer, pre_tokenizer, post_processor, decoder) as
// fields of TokenizerData. Every step is either understood in full or an Error(kUnsupported) naming
// it. Used only by tokenizer_json.cc.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "text/tokenizer.h"

namespace tidal {

// Members of an object in an untrusted file. Errors name `where` (file and step) and the key.
class JsonView {
 public:
  JsonView(const nlohmann::json& value, std::string where);

  const std::string& where() const { return where_; }
  const nlohmann::json& value() const { return value_; }

  const nlohmann::json* find(const char* key) const;  // nullptr: absent or null
  JsonView object(const char* key) const;             // required
  std::string string(const char* key) const;          // required
  std::string string_or(const char* key, const char* otherwise) const;
  bool flag(const char* key, bool otherwise) const;
  int32_t id(const char* key) const;  // required: 0 to 2^31 - 1

 private:
  const nlohmann::json& value_;
  std::string where_;
};

// An id in an untrusted file; `what` begins the error.
int32_t json_id(const nlohmann::json& value, const std::string& what);

// Sets model, patterns, prefix and normalisation fields, and what the post-processor adds.
void read_pipeline(const JsonView& root, TokenizerData* data);

}  // namespace tidal
