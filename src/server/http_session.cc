#include "server/http_session.h"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <cctype>
#include <optional>
#include <vector>

#include "base/log.h"
#include "server/http_text.h"

namespace tidal::server {
namespace {

namespace http = boost::beast::http;
using Clock = std::chrono::steady_clock;

}  // namespace

struct Session::Parser : http::request_parser<http::string_body> {};

void Exchange::post(const std::shared_ptr<Exchange>& self, std::function<void(Session&)> then) {
  if (closed_) return;
  asio::post(shared_.io, [self, then = std::move(then)] {
    const std::shared_ptr<Session> session = self->session_.lock();
    if (session && !self->closed_ && session->answers(self.get())) then(*session);
  });
}

void Exchange::on_close(std::function<void()> then) {
  {
    const std::lock_guard lock(mutex_);
    if (!closed_) {
      then_ = std::move(then);
      return;
    }
    if (!gone_) return;  // the answer is complete
  }
  then();
}

void Exchange::finish(bool gone) {
  std::function<void()> then;
  {
    const std::lock_guard lock(mutex_);
    if (closed_.exchange(true)) return;
    gone_ = gone;
    then.swap(then_);
  }
  if (gone && then) then();
}

// What happens to a session that was closed meanwhile is nobody's concern.
template <typename Then>
auto Session::bind(Then then) {
  return [self = shared_from_this(), then](const error_code& error, auto... rest) {
    if (self->socket_.is_open()) then(error, rest...);
  };
}

Session::Session(Shared& shared, Socket socket, bool local)
    : shared_(shared),
      limits_(shared.options.limits),
      socket_(std::move(socket)),
      local_(local),
      deadline_(shared.io),
      silence_(shared.io) {}
Session::~Session() = default;

void Session::start() {
  error_code ignored;
  socket_.set_option(asio::ip::tcp::no_delay(true), ignored);  // a Unix socket has no such thing
  wait_for_request();
}

void Session::close() {
  if (!socket_.is_open()) return;
  const auto self = shared_from_this();
  error_code ignored;
  socket_.shutdown(Socket::shutdown_both, ignored);
  socket_.close(ignored);
  deadline_.cancel();
  silence_.cancel();
  shared_.sessions.erase(self);
  if (exchange_) exchange_->finish(/*gone=*/true);
}

void Session::close_soon() {
  keep_alive_ = false;
  if (!last_queued_ || out_.empty()) close();
}

void Session::send(const HttpReply& reply) {
  if (streaming_ && late_.has_value()) {
    write(reply.body);
    return end();
  }
  if (streaming_ || last_queued_) return;
  last_queued_ = true;
  silence_.cancel();
  std::string text = head(reply.status, reply.headers);
  text += fmt::format("content-length: {}\r\n\r\n", reply.body.size());
  if (!head_only_) text += reply.body;
  queue(std::move(text));
}

void Session::begin(int status, const Headers& headers, std::string keep_alive) {
  if (streaming_ || last_queued_) return;
  streaming_ = true;
  if (!chunked_) keep_alive_ = false;  // the answer ends where the connection does
  queue(head(status, headers) + (chunked_ ? "transfer-encoding: chunked\r\n\r\n" : "\r\n"));
  keep_alive_text_ = std::move(keep_alive);
  if (!keep_alive_text_.empty()) watch_silence();
}

void Session::begin_late(HttpReply beginning, std::chrono::milliseconds silence) {
  if (streaming_ || last_queued_) return;
  late_ = std::move(beginning);
  silence_time_ = silence;
  last_write_ = Clock::now();
  watch_silence();
}

void Session::write(std::string chunk) {
  if (!streaming_ || last_queued_ || head_only_ || chunk.empty()) return;
  if (unsent_ > limits_.max_unsent) {
    spdlog::warn("a client does not read its answer, its request is cancelled");
    return close();
  }
  queue(chunked_ ? fmt::format("{:x}\r\n{}\r\n", chunk.size(), chunk) : std::move(chunk));
}

void Session::end() {
  if (!streaming_ || last_queued_) return;
  last_queued_ = true;
  silence_.cancel();
  queue(chunked_ && !head_only_ ? "0\r\n\r\n" : "");
}

void Session::expire_after(std::chrono::milliseconds time) {
  deadline_.expires_after(time);
  deadline_.async_wait(bind([this](const error_code& error) {
    if (!error && deadline_.expiry() <= Clock::now()) close();
  }));
}

void Session::wait_for_request() {
  if (buffer_.size() > 0) return read_header();
  expire_after(limits_.idle_timeout);
  read_some();
}

// One read is always under way: between requests it brings the next, during an answer it shows that
// the client has gone.
void Session::read_some() {
  if (reading_) return;
  reading_ = true;
  socket_.async_read_some(buffer_.prepare(4096), bind([this](const error_code& error, size_t n) {
                            reading_ = false;
                            if (error) return close();
                            if (exchange_ == nullptr) {
                              buffer_.commit(n);
                              return read_header();
                            }
                            // The next request before this answer: it is dropped, and the
                            // connection with it, so that a client that leaves is seen.
                            keep_alive_ = false;
                            read_some();
                          }));
}

void Session::read_header() {
  answer_headers_.clear();
  parser_ = std::make_unique<Parser>();
  parser_->header_limit(static_cast<uint32_t>(limits_.header_bytes));
  parser_->body_limit(limits_.body_bytes);
  expire_after(limits_.header_timeout);
  http::async_read_header(socket_, buffer_, *parser_,
                          bind([this](const error_code& error, size_t) { on_header(error); }));
}

void Session::on_header(const error_code& error) {
  if (error) return refuse(error);
  take_head();
  if (!ends_clearly()) return refuse(error_reply(400, "the only Transfer-Encoding is chunked"));
  std::optional<HttpReply> refusal = shared_.admit(request_, &answer_headers_);
  if (refusal.has_value()) return refuse(*refusal);
  if (request_.header("expect") == "100-continue") {
    constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    error_code ignored;
    asio::write(socket_, asio::buffer(kContinue), ignored);
  }
  expire_after(limits_.body_timeout);
  http::async_read(socket_, buffer_, *parser_,
                   bind([this](const error_code& failed, size_t) { on_body(failed); }));
}

void Session::take_head() {
  const auto& message = parser_->get();
  request_ = {};

  request_.method = std::string(message.method_string());
  request_.local = local_;
  split_target({message.target().data(), message.target().size()}, &request_);
  for (const auto& field : message) {
    std::string name(field.name_string());
    std::transform(name.begin(), name.end(), name.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    request_.headers.emplace_back(std::move(name), std::string(field.value()));
  }
  chunked_ = message.version() >= 11;
  keep_alive_ = message.keep_alive() && !shared_.stopping;
  head_only_ = message.method() == http::verb::head;
}

// Where the body ends must not be a matter of opinion between this server and a proxy before it.
bool Session::ends_clearly() const {
  size_t n = 0;
  for (const auto& [name, value] : request_.headers) {
    if (name != "transfer-encoding") continue;
    if (!boost::beast::iequals(value, "chunked") || !chunked_ || ++n > 1) return false;
  }
  return true;
}

void Session::on_body(const error_code& error) {
  if (error) return refuse(error);
  request_.body = std::move(parser_->get().body());
  parser_.reset();
  deadline_.cancel();
  open_exchange();
  read_some();
  shared_.handle(std::move(request_), Responder(exchange_));
}

void Session::open_exchange() {
  exchange_ = std::make_shared<Exchange>(shared_, weak_from_this());
  streaming_ = last_queued_ = false;
  silence_time_ = limits_.silence;
  late_.reset();
}

void Session::refuse(const error_code& error) {
  const bool of_http = error.category() == make_error_code(http::error::bad_method).category();
  if (!of_http || error == http::error::end_of_stream || error == http::error::partial_message) {
    return close();
  }
  head_only_ = false;
  if (error == http::error::body_limit) {
    return refuse(error_reply(413, fmt::format("the body is larger than {} bytes",  //
                                               limits_.body_bytes)));
  }
  refuse(error_reply(error == http::error::header_limit ? 431 : 400, error.message()));
}

// What follows is not read, so nothing can come after it.
void Session::refuse(const HttpReply& reply) {
  refused_ = true;
  keep_alive_ = false;
  open_exchange();
  send(reply);
}

std::string Session::head(int status, const Headers& headers) const {
  std::string text = fmt::format("HTTP/1.1 {} {}\r\n", status, status_text(status));
  for (const Headers* list :
       {&std::as_const(shared_.options.headers), &answer_headers_, &headers}) {
    for (const auto& [name, value] : *list) {
      text += fmt::format("{}: {}\r\n", name, header_value(value));
    }
  }
  return text + (keep_alive_ ? "connection: keep-alive\r\n" : "connection: close\r\n");
}

void Session::queue(std::string text) {
  unsent_ += text.size();
  last_write_ = Clock::now();
  out_.push_back(std::move(text));
  write_out();
}

void Session::write_out() {
  if (writing_) return;
  writing_ = true;
  std::vector<asio::const_buffer> buffers;
  for (const std::string& text : out_) buffers.push_back(asio::buffer(text));
  expire_after(limits_.write_timeout);
  asio::async_write(socket_, buffers,
                    bind([this, n = out_.size()](const error_code& error, size_t) {
                      writing_ = false;
                      error ? close() : on_written(n);
                    }));
}

void Session::on_written(size_t n_texts) {
  for (; n_texts > 0; --n_texts) {
    unsent_ -= out_.front().size();
    out_.pop_front();
  }
  deadline_.cancel();
  if (!out_.empty()) return write_out();
  if (!last_queued_) return;
  exchange_->finish(/*gone=*/false);
  exchange_.reset();
  if (refused_) return drain_and_close();
  if (!keep_alive_) return close();
  wait_for_request();
}

// What is left of a refused request is read for a moment: a connection that is closed on it would
// take the answer away with it.
void Session::drain_and_close() {
  error_code ignored;
  socket_.shutdown(Socket::shutdown_send, ignored);
  expire_after(std::chrono::milliseconds(500));
  discard();
}

void Session::discard() {
  socket_.async_read_some(asio::buffer(discarded_), bind([this](const error_code& error, size_t) {
                            error ? close() : discard();
                          }));
}

void Session::watch_silence() {
  silence_.expires_at(last_write_ + silence_time_);
  silence_.async_wait(bind([this](const error_code& error) {
    if (error || last_queued_) return;
    if (Clock::now() - last_write_ >= silence_time_) {
      if (!streaming_) begin(late_->status, late_->headers, late_->body);
      write(keep_alive_text_);
    }
    if (socket_.is_open()) watch_silence();
  }));
}

}  // namespace tidal::server
