#include "server/errors.h"

#include "runtime/option_table.h"

namespace tidal::server {
namespace {

std::string_view type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
    case 405:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    case 500:
      return "server_error";
    case 501:
      return "not_supported_error";
    case 503:
      return "unavailable_error";
    default:
      return "invalid_request_error";
  }
}

int status_of(ErrorCode code) {
  switch (code) {
    case ErrorCode::kUnsupported:
      return 501;
    case ErrorCode::kExhausted:
      return 429;
    case ErrorCode::kIo:
      return 500;
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kNotFound:
    case ErrorCode::kCorrupt:
      return 400;
  }
  return 500;
}

}  // namespace

void refuse(std::string_view param, const std::string& message) {
  throw ApiError(400, message, std::string(param));
}

ApiError api_error(const Error& error) {
  const std::string message =
      respell(error.what(), [](const Option& option) { return "'" + option.name + "'"; });
  // Where an option is at fault, the request can never run: trying again would not help. A queue
  // that is full will not stay so.
  const int status = error.code() == ErrorCode::kExhausted && !error.option().empty() &&
                             error.option() != "max_queue"
                         ? 400
                         : status_of(error.code());
  return {status, message, error.option()};
}

ApiError api_error(const std::exception& error) {
  if (const auto* api = dynamic_cast<const ApiError*>(&error)) return *api;
  if (const auto* own = dynamic_cast<const Error*>(&error)) return api_error(*own);
  return {500, error.what()};
}

Json error_json(const ApiError& error) {
  Json object = {{"code", error.status},
                 {"message", error.what()},
                 {"type", error.type.empty() ? std::string(type_of(error.status)) : error.type},
                 {"param", error.param.empty() ? Json() : Json(error.param)}};
  if (error.details.is_object()) object.update(error.details);
  return {{"error", std::move(object)}};
}

Json messages_error_json(const ApiError& error) {
  Json json = {{"type", "error"}};
  json.update(error_json(error));
  return json;
}

}  // namespace tidal::server
