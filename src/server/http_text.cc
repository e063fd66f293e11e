#include "server/http_text.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "base/json.h"
#include "server/errors.h"

namespace tidal::server {

std::string_view HttpRequest::header(std::string_view name) const {
  const auto found = std::find_if(headers.begin(), headers.end(),
                                  [name](const auto& header) { return header.first == name; });
  return found == headers.end() ? std::string_view() : found->second;
}

std::string_view HttpRequest::query_value(std::string_view name) const {
  std::string_view rest = query;
  while (!rest.empty()) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    const size_t equals = pair.find('=');
    if (pair.substr(0, equals) == name) {
      return equals == pair.npos ? std::string_view() : pair.substr(equals + 1);
    }
  }
  return {};
}

bool is_unix_socket(std::string_view host) {
  return host.find('/') != host.npos || host.ends_with(".sock");
}

bool is_local_host(std::string_view host) {
  return is_unix_socket(host) || host == "localhost" || host == "::1" || host.starts_with("127.");
}

std::string_view status_text(int status) {
  struct Line {
    int status;
    std::string_view text;
  };
  static constexpr std::array<Line, 17> kLines{{{200, "OK"},
                                                {204, "No Content"},
                                                {304, "Not Modified"},
                                                {400, "Bad Request"},
                                                {401, "Unauthorized"},
                                                {403, "Forbidden"},
                                                {404, "Not Found"},
                                                {405, "Method Not Allowed"},
                                                {408, "Request Timeout"},
                                                {413, "Content Too Large"},
                                                {415, "Unsupported Media Type"},
                                                {421, "Misdirected Request"},
                                                {429, "Too Many Requests"},
                                                {431, "Request Header Fields Too Large"},
                                                {500, "Internal Server Error"},
                                                {501, "Not Implemented"},
                                                {503, "Service Unavailable"}}};
  const auto found = std::find_if(kLines.begin(), kLines.end(),
                                  [status](const Line& line) { return line.status == status; });
  return found == kLines.end() ? "Unknown" : found->text;
}

std::string percent_decoded(std::string_view text) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    uint8_t byte = 0;
    if (text[i] == '%' && i + 2 < text.size()) {
      const char* digits = text.data() + i + 1;
      const auto [stop, error] = std::from_chars(digits, digits + 2, byte, 16);
      if (error == std::errc() && stop == digits + 2) {
        result += static_cast<char>(byte);
        i += 2;
        continue;
      }
    }
    result += text[i];
  }
  return result;
}

void split_target(std::string_view target, HttpRequest* request) {
  const size_t mark = target.find('?');
  request->path = percent_decoded(target.substr(0, mark));
  request->query = mark == target.npos ? std::string() : std::string(target.substr(mark + 1));
}

std::string header_value(std::string_view value) {
  std::string line(value);
  std::replace_if(
      line.begin(), line.end(), [](unsigned char c) { return c < 0x20 || c == 0x7f; }, ' ');
  return line;
}

HttpReply json_reply(int status, std::string body) {
  return {status, {{"content-type", "application/json; charset=utf-8"}}, std::move(body)};
}

HttpReply error_reply(int status, std::string_view message, std::string_view param) {
  const ApiError error(status, std::string(message), std::string(param));
  HttpReply reply = json_reply(status, dump(error_json(error)));
  if (status == 429) reply.headers.emplace_back("retry-after", "1");
  return reply;
}

}  // namespace tidal::server
