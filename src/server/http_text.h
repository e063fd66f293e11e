// The text of HTTP that needs no connection. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "server/http.h"

namespace tidal::server {

// "/a%20b?x=1" into path and query; a path that is not absolute stays as it is.
void split_target(std::string_view target, HttpRequest* request);

// %xx as bytes; what is no such thing stays.
std::string percent_decoded(std::string_view text);

std::string header_value(std::string_view value);  // on one line

HttpReply json_reply(int status, std::string body);
// {"error": {"code", "message", "type", "param"}}, the type by the status.
HttpReply error_reply(int status, std::string_view message, std::string_view param = {});

}  // namespace tidal::server
