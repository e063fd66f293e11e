#include "server/server.h"

#include <fmt/format.h>

#include <utility>

#include "base/json.h"
#include "base/log.h"
#include "base/quote.h"
#include "server/endpoints.h"
#include "server/http_text.h"

namespace tidal::server {
namespace {

bool is_health(std::string_view path) { return path == "/health" || path == "/v1/health"; }

void answer(Service& service, const Endpoint& endpoint, HttpCall& call) {
  try {
    if (endpoint.method == "POST") {
      call.body = parse_body(call.request.body);
      call.request.body.clear();
      service.note_unknown_fields(call.body);
    }
    endpoint.handle(service, call);
  } catch (const std::exception& error) {
    const ApiError failure = api_error(error);
    if (failure.status >= 500) spdlog::warn("{}: {}", endpoint.path, printable(failure.what()));
    const bool of_messages = endpoint.path.starts_with("/v1/messages");
    HttpReply reply = json_reply(
        failure.status, dump(of_messages ? messages_error_json(failure) : error_json(failure)));
    if (failure.status == 429) reply.headers.emplace_back("Retry-After", "1");
    call.responder.send(std::move(reply));
  }
}

}  // namespace

Server::Server(const ServerOptions& options) : options_(options) {
  http_ = std::make_unique<HttpServer>(
      options_.http,
      [this](const HttpRequest& head, Headers* headers) { return admit(head, headers); },
      [this](HttpRequest request, const Responder& responder) {
        handle(std::move(request), responder);
      });
}

Server::~Server() {
  std::shared_ptr<Service> last;
  {
    const std::lock_guard lock(mutex_);
    last.swap(service_);
  }
  last.reset();
  http_->stop();
}

void Server::attach(Engine& engine) {
  auto made = std::make_shared<Service>(engine, options_.service);
  const std::lock_guard lock(mutex_);
  service_ = std::move(made);
}

void Server::drain() {
  if (const auto running = service()) running->drain();
}

std::string Server::kv_events_endpoint() const {
  const auto running = service();
  return running == nullptr ? std::string() : running->kv_events_endpoint();
}

std::shared_ptr<Service> Server::service() const {
  const std::lock_guard lock(mutex_);
  return service_;
}

std::optional<HttpReply> Server::admit(const HttpRequest& head, Headers* answer_headers) const {
  const std::string_view id = head.header("x-request-id");
  if (!id.empty() && id.size() <= 256) answer_headers->emplace_back("X-Request-Id", id);
  return check_access(options_.access, head, answer_headers);
}

HttpReply Server::health() const {
  const auto running = service();
  if (running == nullptr) return error_reply(503, "Loading model");
  if (running->draining()) return error_reply(503, "the server is shutting down");
  return json_reply(200, R"({"status":"ok"})");
}

void Server::handle(HttpRequest request, const Responder& responder) {
  if (is_health(request.path)) return responder.send(health());
  bool path_known = false;
  const Endpoint* endpoint = find_endpoint(request.method, request.path, &path_known);
  if (endpoint == nullptr) {
    return responder.send(
        path_known ? error_reply(405, fmt::format("{} has no {}", request.path, request.method))
                   : error_reply(404, fmt::format("there is no {}", quote(request.path, 200))));
  }
  const auto running = service();
  if (running == nullptr) return responder.send(error_reply(503, "Loading model"));
  if (running->draining() && endpoint->generates) {
    return responder.send(error_reply(503, "the server is shutting down"));
  }
  std::string owner(owner_of(options_.access, request));
  auto call =
      std::make_shared<HttpCall>(HttpCall{std::move(request), responder, {}, std::move(owner)});
  Service& known = *running;
  known.readers().post([&known, endpoint, call] { answer(known, *endpoint, *call); });
}

}  // namespace tidal::server
