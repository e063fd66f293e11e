// What goes wrong with a request, as HTTP and OpenAI's clients want to hear it.
//
// A fault of the client's is 4xx and never 5xx, which clients would try again.
#pragma once

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tidal/error.h"

namespace tidal::server {

using Json = nlohmann::ordered_json;

struct ApiError : std::runtime_error {
  ApiError(int http_status, const std::string& message, std::string field = {},
           std::string kind = {})
      : std::runtime_error(message),
        status(http_status),
        param(std::move(field)),
        type(std::move(kind)) {}

  int status;
  std::string param;  // the field at fault, or empty
  std::string type;   // empty: by the status
  Json details;       // more fields of the error object
};

[[noreturn]] void refuse(std::string_view param, const std::string& message);  // 400

// The engine's: options are spelled as fields.
ApiError api_error(const Error& error);
// Whatever it is; what is no Error is 500.
ApiError api_error(const std::exception& error);

// {"error": {"code", "message", "type", "param"}}
Json error_json(const ApiError& error);
// The same as Anthropic's clients want it.
Json messages_error_json(const ApiError& error);

}  // namespace tidal::server
