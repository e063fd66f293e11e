// Server: HTTP around an engine.
//
//   Server server(options);    // listens; /health says 503 until there is a model
//   server.attach(engine);
//   server.drain();            // refuses new work, returns when what runs has ended
//
// The engine must outlive it, and nobody else may step it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "server/access.h"
#include "server/http.h"
#include "server/service.h"

namespace tidal::server {

struct ServerOptions {
  HttpOptions http;
  AccessOptions access;
  ServiceOptions service;
};

class Server {
 public:
  explicit Server(const ServerOptions& options);
  ~Server();  // cancels what still runs
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  void attach(Engine& engine);
  void drain();
  // Where what is cached is published; empty: nowhere, or nothing is attached.
  std::string kv_events_endpoint() const;
  std::vector<std::string> urls() const { return http_->urls(); }

 private:
  std::optional<HttpReply> admit(const HttpRequest& head, Headers* answer_headers) const;
  void handle(HttpRequest request, const Responder& responder);
  HttpReply health() const;
  std::shared_ptr<Service> service() const;

  ServerOptions options_;
  mutable std::mutex mutex_;  // guards the next
  std::shared_ptr<Service> service_;
  std::unique_ptr<HttpServer> http_;
};

}  // namespace tidal::server
