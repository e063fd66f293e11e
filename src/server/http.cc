#include "server/http.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <deque>
#include <thread>

#include "base/fail.h"
#include "base/log.h"
#include "server/http_session.h"

namespace tidal::server {
namespace {

using Protocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<Protocol>;
using Milliseconds = std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

struct Listener {
  Acceptor acceptor;
  std::string path;  // of a Unix socket
  std::string url;
  bool local;
};

}  // namespace

void Responder::send(HttpReply reply) const {
  exchange_->post(exchange_, [reply = std::move(reply)](Session& session) { session.send(reply); });
}

void Responder::begin(int status, Headers headers, std::string keep_alive) const {
  exchange_->post(exchange_, [=, headers = std::move(headers),
                              keep_alive = std::move(keep_alive)](Session& session) mutable {
    session.begin(status, headers, std::move(keep_alive));
  });
}

void Responder::begin_late(int status, Headers headers, std::string keep_alive,
                           std::chrono::milliseconds silence) const {
  HttpReply reply{status, std::move(headers), std::move(keep_alive)};
  exchange_->post(exchange_, [reply = std::move(reply), silence](Session& session) mutable {
    session.begin_late(std::move(reply), silence);
  });
}

void Responder::write(std::string chunk) const {
  exchange_->post(exchange_, [chunk = std::move(chunk)](Session& session) mutable {
    session.write(std::move(chunk));
  });
}

void Responder::end() const {
  exchange_->post(exchange_, [](Session& session) { session.end(); });
}

bool Responder::closed() const { return exchange_->closed(); }
void Responder::on_close(std::function<void()> then) const { exchange_->on_close(std::move(then)); }

class HttpServer::Impl {
 public:
  Impl(const HttpOptions& options, Admit admit, Handle handle) {
    shared_.options = options;
    shared_.admit = std::move(admit);
    shared_.handle = std::move(handle);
    for (const std::string& host : options.hosts) listen(host);
    for (Listener& listener : listeners_) accept(listener);
    thread_ = std::thread([this] { shared_.io.run(); });
  }

  ~Impl() { stop(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::vector<std::string> urls() const {
    std::vector<std::string> urls;
    for (const Listener& listener : listeners_) urls.push_back(listener.url);
    return urls;
  }

  void stop() {
    if (!thread_.joinable()) return;
    asio::post(shared_.io, [this] { end_listening(); });
    thread_.join();
    shared_.io.restart();
    for (const auto& session : std::set(shared_.sessions)) session->close();
    shared_.io.poll();  // what was waiting learns that it is over
  }

 private:
  void listen(const std::string& host) {
    try {
      if (is_unix_socket(host)) {
        remove_stale_socket(host);
        add(asio::local::stream_protocol::endpoint(host), host, true);
        return;
      }
      asio::ip::tcp::resolver resolver(shared_.io);
      const auto found = resolver.resolve(host, std::to_string(shared_.options.port));
      add(found.begin()->endpoint(), {}, found.begin()->endpoint().address().is_loopback());
    } catch (const boost::system::system_error& error) {
      fail(ErrorCode::kIo, "cannot listen on {}{}: {}, take another --host or --port", host,
           is_unix_socket(host) ? "" : fmt::format(", port {}", shared_.options.port),
           error.code().message());
    }
  }

  template <typename Endpoint>
  void add(const Endpoint& endpoint, const std::string& path, bool local) {
    Acceptor acceptor(shared_.io);
    acceptor.open(Protocol(endpoint.protocol()));
    if (path.empty()) acceptor.set_option(asio::socket_base::reuse_address(true));
    acceptor.bind(endpoint);
    if (!path.empty()) chmod(path.c_str(), S_IRUSR | S_IWUSR);
    acceptor.listen(1024);
    Endpoint bound;
    const auto generic = acceptor.local_endpoint();
    bound.resize(generic.size());
    std::copy_n(reinterpret_cast<const char*>(generic.data()), generic.size(),
                reinterpret_cast<char*>(bound.data()));
    listeners_.push_back({std::move(acceptor), path, url_of(bound), local});
  }

  static std::string url_of(const asio::local::stream_protocol::endpoint& endpoint) {
    return "unix:" + endpoint.path();
  }
  static std::string url_of(const asio::ip::tcp::endpoint& endpoint) {
    const std::string address = endpoint.address().to_string();
    return fmt::format(fmt::runtime(endpoint.address().is_v6() ? "http://[{}]:{}" : "http://{}:{}"),
                       address, endpoint.port());
  }

  // One that nobody listens on any more.
  void remove_stale_socket(const std::string& path) {
    struct stat status {};
    if (lstat(path.c_str(), &status) != 0 || !S_ISSOCK(status.st_mode)) return;
    asio::local::stream_protocol::socket probe(shared_.io);
    error_code error;
    probe.connect(asio::local::stream_protocol::endpoint(path), error);
    if (error == asio::error::connection_refused) unlink(path.c_str());
  }

  void accept(Listener& listener) {
    listener.acceptor.async_accept([this, &listener](const error_code& error, Socket socket) {
      if (error == asio::error::operation_aborted || shared_.stopping) return;
      if (error) return accept_later(listener, error);
      if (shared_.sessions.size() < shared_.options.limits.max_connections) {
        auto session = std::make_shared<Session>(shared_, std::move(socket), listener.local);
        shared_.sessions.insert(session);
        session->start();
      }
      accept(listener);
    });
  }

  // Out of descriptors, most likely: some will be free again.
  void accept_later(Listener& listener, const error_code& error) {
    spdlog::warn("cannot accept a connection: {}", error.message());
    auto timer = std::make_shared<asio::steady_timer>(shared_.io, Milliseconds(100));
    timer->async_wait([this, &listener, timer](const error_code& failed) {
      if (!failed) accept(listener);
    });
  }

  void end_listening() {
    shared_.stopping = true;
    error_code ignored;
    for (Listener& listener : listeners_) {
      listener.acceptor.close(ignored);
      if (!listener.path.empty()) unlink(listener.path.c_str());
    }
    for (const auto& session : std::set(shared_.sessions)) session->close_soon();
    end_when_sent(Clock::now() + std::chrono::seconds(1));
  }

  void end_when_sent(Clock::time_point latest) {
    if (shared_.sessions.empty() || Clock::now() >= latest) return shared_.io.stop();
    auto timer = std::make_shared<asio::steady_timer>(shared_.io, Milliseconds(5));
    timer->async_wait([this, latest, timer](const error_code&) { end_when_sent(latest); });
  }

  Shared shared_;
  std::deque<Listener> listeners_;
  std::thread thread_;
};

HttpServer::HttpServer(const HttpOptions& options, Admit admit, Handle handle)
    : impl_(std::make_unique<Impl>(options, std::move(admit), std::move(handle))) {}
HttpServer::~HttpServer() = default;

std::vector<std::string> HttpServer::urls() const { return impl_->urls(); }
void HttpServer::stop() { impl_->stop(); }

}  // namespace tidal::server
