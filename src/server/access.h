// Access: who may ask what, by a request's head alone. Pure, but for the keys' file.
//
// Pages of other sites cannot use a server on this machine: their Host or Origin gives them away.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/http.h"

namespace tidal::server {

struct AccessOptions {
  std::vector<std::string> api_keys;  // none: nobody needs one
  // "localhost" stands for all of this machine, "*" for everything; else origins as browsers send
  // them.
  std::vector<std::string> cors_origins{"localhost"};
  std::vector<std::string> host_names;  // more names of a server on a loopback address
  std::vector<std::string> public_paths{"/health", "/v1/health"};  // need no key
};

// One key a line; empty lines and those that begin with # do not count. Throws Error naming it.
std::vector<std::string> read_keys(const std::string& path);

// The refusal, or the answer to a preflight; nothing: go on. answer_headers gets what an answer to
// this origin has to carry.
std::optional<HttpReply> check_access(const AccessOptions& options, const HttpRequest& request,
                                      Headers* answer_headers);

// Whose texts a request shares: its key where there are several, otherwise nobody's in particular.
std::string_view owner_of(const AccessOptions& options, const HttpRequest& request);

}  // namespace tidal::server
