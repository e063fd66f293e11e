#include "server/access.h"

#include <algorithm>

#include "base/fail.h"
#include "base/mapped_file.h"
#include "server/http_text.h"

namespace tidal::server {
namespace {

bool contains(const std::vector<std::string>& list, std::string_view text) {
  return std::find(list.begin(), list.end(), text) != list.end();
}

// "http://[::1]:3000" or "localhost:8080" without what stands around the name.
std::string_view name_in(std::string_view address) {
  const size_t scheme = address.find("://");
  if (scheme != address.npos) address.remove_prefix(scheme + 3);
  if (address.starts_with('[')) {
    const size_t end = address.find(']');
    return end == address.npos ? address : address.substr(1, end - 1);
  }
  return address.substr(0, address.find(':'));
}

bool names_this_machine(std::string_view address) {
  const std::string_view name = name_in(address);
  if (name == "localhost" || name == "::1") return true;
  return name.starts_with("127.") && name.find_first_not_of("0123456789.") == name.npos;
}

bool allows_origin(const AccessOptions& options, std::string_view origin) {
  if (contains(options.cors_origins, "*") || contains(options.cors_origins, origin)) return true;
  return contains(options.cors_origins, "localhost") &&
         (names_this_machine(origin) || contains(options.host_names, name_in(origin)));
}

// Takes as long whatever the key is.
bool equal(std::string_view a, std::string_view b) {
  size_t difference = a.size() ^ b.size();
  for (size_t i = 0; i < a.size(); ++i) {
    const char other = b.empty() ? '\0' : b[i % b.size()];
    difference |= static_cast<unsigned char>(a[i] ^ other);
  }
  return difference == 0;
}

std::string_view given_key(const HttpRequest& request) {
  const std::string_view given = request.header("authorization");
  constexpr std::string_view kBearer = "Bearer ";
  return given.starts_with(kBearer) && given.size() > kBearer.size() ? given.substr(kBearer.size())
                                                                     : request.header("x-api-key");
}

bool has_key(const AccessOptions& options, const HttpRequest& request) {
  const std::string_view given = given_key(request);
  bool found = false;
  for (const std::string& key : options.api_keys) found |= equal(given, key);
  return found && !given.empty();
}

}  // namespace

std::string_view owner_of(const AccessOptions& options, const HttpRequest& request) {
  return options.api_keys.size() > 1 ? given_key(request) : std::string_view();
}

std::vector<std::string> read_keys(const std::string& path) {
  const MappedFile file(path);
  const auto bytes = file.bytes();
  std::string_view rest(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::vector<std::string> keys;
  while (!rest.empty()) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    while (!line.empty() && (line.back() == '\r' || line.back() == ' ')) line.remove_suffix(1);
    if (!line.empty() && !line.starts_with('#')) keys.emplace_back(line);
  }
  if (keys.empty()) fail(ErrorCode::kCorrupt, "{}: holds no key, put one in a line", path);
  return keys;
}

std::optional<HttpReply> check_access(const AccessOptions& options, const HttpRequest& request,
                                      Headers* answer_headers) {
  const std::string_view host = request.header("host");
  if (request.local && !host.empty() && !names_this_machine(host) &&
      !contains(options.host_names, name_in(host))) {
    return error_reply(403, "this server is for its own machine: the Host header names another");
  }
  const std::string_view origin = request.header("origin");
  if (!origin.empty() && allows_origin(options, origin)) {
    answer_headers->emplace_back("Access-Control-Allow-Origin", std::string(origin));
    answer_headers->emplace_back("Access-Control-Allow-Credentials", "true");
    answer_headers->emplace_back("Vary", "Origin");
  } else if (!origin.empty() && request.local && options.api_keys.empty()) {
    // A browser hides the answer from the page, but only after the work is done.
    return error_reply(403, "pages of this origin are not let in: --cors-origins names more");
  }
  if (request.method == "OPTIONS") {
    HttpReply reply;
    reply.headers = {{"Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS"},
                     {"Access-Control-Allow-Headers", "*"},
                     {"Access-Control-Max-Age", "600"}};
    return reply;
  }
  if (options.api_keys.empty() || contains(options.public_paths, request.path)) {
    return std::nullopt;
  }
  if (has_key(options, request)) return std::nullopt;
  return error_reply(401, "an API key is needed: Authorization: Bearer KEY");
}

}  // namespace tidal::server
