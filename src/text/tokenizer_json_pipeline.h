// The processing steps of a tokenizer.json (normalizer, pre_tokenizer, post_processor, decoder) as
// fields of TokenizerData. Every step either is understood in full or is an Error(kUnsupported)
// that names it. Used by tokenizer_json.cc alone.
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
  JsonView object(const char* key) const;             // must be there
  std::string string(const char* key) const;          // must be there
  std::string string_or(const char* key, const char* otherwise) const;
  bool flag(const char* key, bool otherwise) const;
  int32_t id(const char* key) const;  // must be there: 0 to 2^31 - 1

 private:
  const nlohmann::json& value_;
  std::string where_;
};

// An id in an untrusted file; `what` begins the error.
int32_t json_id(const nlohmann::json& value, const std::string& what);

// Sets model, patterns, prefix and normalisation fields, and what the post-processor adds.
void read_pipeline(const JsonView& root, TokenizerData* data);

}  // namespace tidal
