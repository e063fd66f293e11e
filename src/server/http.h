// HttpServer: HTTP/1.1 on TCP and Unix sockets, one thread for all connections.
//
//   HttpServer http({.hosts = {"127.0.0.1"}, .port = 8080}, admit, handle);
//   http.stop();  // answers that are complete are still sent
//
// `admit` sees a request before its body is read and may refuse it; `handle` gets it whole. Both
// run on the thread of the connections and must not wait. An answer is given through a Responder,
// from any thread, now or later: at once with send(), or in pieces with begin(), write(), end().
//
// A client that goes away is noticed without writing to it: closed() turns true and what on_close()
// left is called, on the connections' thread. So it is with one that does not read: beyond
// max_unsent bytes that wait for it, or when it takes none for write_timeout.
// Headers, bodies and times are bounded by HttpLimits; what breaks HTTP is answered and closed.
// Listening throws Error(kIo) that names the address. Responders must not outlive the server.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace tidal::server {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct HttpRequest {
  std::string method;  // "GET"
  std::string path;    // "/v1/models"
  std::string query;   // what stands behind ?, as it was sent
  Headers headers;     // names in lower case
  std::string body;
  bool local = false;  // came to a loopback address or a Unix socket

  std::string_view header(std::string_view name) const;       // the first of it, or empty
  std::string_view query_value(std::string_view name) const;  // the first of it, or empty
};

struct HttpReply {
  int status = 200;
  Headers headers;
  std::string body;
};

class Exchange;

// Copies stand for the same answer. What comes after its end is ignored.
class Responder {
 public:
  explicit Responder(std::shared_ptr<Exchange> exchange) : exchange_(std::move(exchange)) {}

  void send(HttpReply reply) const;
  // keep_alive is written whenever nothing else was for HttpLimits::silence.
  void begin(int status, Headers headers, std::string keep_alive = {}) const;
  // An answer that is not there after `silence` begins then, with keep_alive, which is repeated;
  // of a reply that is sent later only the body comes.
  void begin_late(int status, Headers headers, std::string keep_alive,
                  std::chrono::milliseconds silence) const;
  void write(std::string chunk) const;
  void end() const;

  bool closed() const;  // nobody waits for the answer any more
  // Called once when the client goes away before the answer's end; at once if it has gone.
  void on_close(std::function<void()> then) const;

 private:
  std::shared_ptr<Exchange> exchange_;
};

struct HttpLimits {
  size_t header_bytes = 16 << 10;
  size_t body_bytes = size_t{64} << 20;
  size_t max_unsent = size_t{1} << 20;  // of an answer in pieces
  size_t max_connections = 4096;
  std::chrono::milliseconds header_timeout{10'000};
  std::chrono::milliseconds body_timeout{120'000};
  std::chrono::milliseconds write_timeout{60'000};
  std::chrono::milliseconds idle_timeout{75'000};  // between two requests of a connection
  std::chrono::milliseconds silence{10'000};
};

struct HttpOptions {
  std::vector<std::string> hosts{"127.0.0.1"};  // addresses, names, or paths of Unix sockets
  uint16_t port = 8080;                         // 0: any that is free
  HttpLimits limits;
  Headers headers;  // of every answer
};

// An address that only this machine can reach: loopback, "localhost" or a Unix socket's path.
bool is_local_host(std::string_view host);
bool is_unix_socket(std::string_view host);  // a path: holds a slash or ends in .sock

std::string_view status_text(int status);  // "Not Found"

class HttpServer {
 public:
  // answer_headers: more of them for whatever the answer will be.
  using Admit =
      std::function<std::optional<HttpReply>(const HttpRequest& head, Headers* answer_headers)>;
  using Handle = std::function<void(HttpRequest request, const Responder& responder)>;

  HttpServer(const HttpOptions& options, Admit admit, Handle handle);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  std::vector<std::string> urls() const;  // "http://127.0.0.1:8080", one for each host
  // Ends listening, sends what waits to be sent (for at most a second) and closes everything.
  void stop();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace tidal::server
