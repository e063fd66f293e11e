// One connection of an HttpServer: requests in, one after another, and their answers out.
//
// Only http.cc and http_session.cc include this, and so Boost. Everything here happens on the
// connections' thread, Exchange::post() and on_close() apart.
#pragma once

#include <array>
#include <atomic>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "server/http.h"

namespace tidal::server {

namespace asio = boost::asio;
using boost::system::error_code;
using Socket = asio::generic::stream_protocol::socket;
using SteadyTime = std::chrono::steady_clock::time_point;

class Session;

// What all sessions share.
struct Shared {
  asio::io_context io{1};
  HttpOptions options;
  HttpServer::Admit admit;
  HttpServer::Handle handle;
  std::set<std::shared_ptr<Session>> sessions;
  bool stopping = false;
};

// One request's answer: what its Responders share.
class Exchange {
 public:
  Exchange(Shared& shared, std::weak_ptr<Session> session)
      : shared_(shared), session_(std::move(session)) {}

  // Runs `then` on the connections' thread with the session, if it still waits for this answer.
  void post(const std::shared_ptr<Exchange>& self, std::function<void(Session&)> then);
  bool closed() const { return closed_.load(); }
  void on_close(std::function<void()> then);
  void finish(bool gone);  // gone: the client, before the end

 private:
  Shared& shared_;
  std::weak_ptr<Session> session_;
  std::atomic<bool> closed_{false};
  std::mutex mutex_;  // guards the two below
  bool gone_ = false;
  std::function<void()> then_;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(Shared& shared, Socket socket, bool local);
  ~Session();

  void start();
  void close();
  void close_soon();  // with the answer, if its end has come already

  // As of Responder.
  void send(const HttpReply& reply);
  void begin(int status, const Headers& headers, std::string keep_alive);
  void begin_late(HttpReply beginning, std::chrono::milliseconds silence);
  void write(std::string chunk);
  void end();
  bool answers(const Exchange* exchange) const { return exchange_.get() == exchange; }

 private:
  struct Parser;

  template <typename Then>
  auto bind(Then then);
  void expire_after(std::chrono::milliseconds time);
  void wait_for_request();
  void read_some();
  void read_header();
  void on_header(const error_code& error);
  void take_head();
  bool ends_clearly() const;
  void on_body(const error_code& error);
  void open_exchange();
  void refuse(const error_code& error);
  void refuse(const HttpReply& reply);
  std::string head(int status, const Headers& headers) const;
  void queue(std::string text);
  void write_out();
  void on_written(size_t n_texts);
  void drain_and_close();
  void discard();
  void watch_silence();

  Shared& shared_;
  const HttpLimits& limits_;
  Socket socket_;
  bool local_;
  asio::steady_timer deadline_;
  asio::steady_timer silence_;
  // The parser empties it as it goes: what does not fit is no header or line of a chunk.
  boost::beast::flat_buffer buffer_{128 << 10};
  std::unique_ptr<Parser> parser_;
  std::array<char, 4096> discarded_;
  HttpRequest request_;
  Headers answer_headers_;
  std::shared_ptr<Exchange> exchange_;  // while an answer is due
  bool reading_ = false;
  bool writing_ = false;
  bool refused_ = false;      // before all of the request was read
  bool keep_alive_ = true;    // after this answer
  bool chunked_ = true;       // HTTP/1.1
  bool head_only_ = false;    // the request was HEAD
  bool streaming_ = false;    // begin() was called
  bool last_queued_ = false;  // the answer is complete
  std::deque<std::string> out_;
  size_t unsent_ = 0;  // bytes of out_
  std::string keep_alive_text_;
  std::chrono::milliseconds silence_time_{};  // after which it is written
  std::optional<HttpReply> late_;             // how an answer begins that is not there by then
  SteadyTime last_write_;
};

}  // namespace tidal::server
