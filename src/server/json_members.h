// Members of JSON objects that may be missing.
#pragma once

#include <string>

#include "server/call.h"

namespace tidal::server {

// Null where there is none, or where `object` is no object.
inline const Json& member(const Json& object, const char* name) {
  static const Json kNone;
  if (!object.is_object()) return kNone;
  const auto found = object.find(name);
  return found == object.end() ? kNone : *found;
}

// Empty where there is none; what is no text is an ApiError.
inline std::string text_member(const Json& object, const char* name) {
  const Json& value = member(object, name);
  return value.is_null() ? std::string() : text_of(value, name);
}

}  // namespace tidal::server
