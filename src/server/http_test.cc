// An HttpServer as clients that wish it ill see it: raw sockets, no HTTP library.
#include "server/http.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <thread>

#include "server/http_text.h"
#include "testing/error.h"
#include "testing/temp_folder.h"

namespace tidal::server {
namespace {

using std::chrono::milliseconds;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;
using Clock = std::chrono::steady_clock;

class Client {
 public:
  explicit Client(uint16_t port) : fd_(socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  explicit Client(const std::string& path) : fd_(socket(AF_UNIX, SOCK_STREAM, 0)) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(address.sun_path, sizeof address.sun_path - 1);
    EXPECT_EQ(connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { hang_up(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void put(std::string_view text) { ::send(fd_, text.data(), text.size(), MSG_NOSIGNAL); }
  void get(const std::string& path) { put("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n"); }
  void half_close() { shutdown(fd_, SHUT_WR); }
  void reset() {
    const linger now{1, 0};
    setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    hang_up();
  }
  void hang_up() {
    if (fd_ >= 0) close(fd_);
    fd_ = -1;
  }

  // What comes until `end` is in it, the connection ends or the time is over.
  std::string read_until(const std::string& end, milliseconds time = milliseconds(10'000)) {
    std::string text;
    const auto latest = Clock::now() + time;
    while (text.find(end) == std::string::npos && Clock::now() < latest) {
      pollfd ready{fd_, POLLIN, 0};
      if (poll(&ready, 1, 20) <= 0) continue;
      char buffer[4096];
      const ssize_t n = recv(fd_, buffer, sizeof buffer, 0);
      if (n <= 0) return text + "<end>";
      text.append(buffer, static_cast<size_t>(n));
    }
    return text;
  }
  std::string read_all() { return read_until("<never>"); }

 private:
  int fd_;
};

// Answers "/now" at once, keeps the Responder of all else.
class HttpTest : public testing::Test {
 protected:
  void listen(HttpLimits limits = {}, std::vector<std::string> hosts = {"127.0.0.1"}) {
    HttpOptions options;
    options.hosts = std::move(hosts);
    options.port = 0;
    options.limits = limits;
    server_ = std::make_unique<HttpServer>(
        options,
        [](const HttpRequest& head, Headers*) -> std::optional<HttpReply> {
          if (head.path == "/secret") return error_reply(401, "no");
          return std::nullopt;
        },
        [this](const HttpRequest& request, const Responder& responder) {
          if (request.path == "/now") {
            return responder.send({200, {}, request.method + " " + request.body});
          }
          responder.on_close([this] { ++n_closed_; });
          kept_.set_value(responder);
        });
    const std::string url = server_->urls().front();
    if (url.starts_with("http")) {
      port_ = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
    }
  }

  Responder kept() { return kept_.get_future().get(); }
  bool closes_within(milliseconds time) {
    const auto latest = Clock::now() + time;
    while (n_closed_ == 0 && Clock::now() < latest) std::this_thread::sleep_for(milliseconds(1));
    return n_closed_ > 0;
  }
  void expect_alive() {
    Client client(port_);
    client.get("/now");
    EXPECT_THAT(client.read_until("GET "), HasSubstr("200 OK"));
  }

  uint16_t port_ = 0;
  std::promise<Responder> kept_;
  std::atomic<int> n_closed_{0};
  std::unique_ptr<HttpServer> server_;
};

TEST_F(HttpTest, KeepsConnectionsAlive) {
  listen();
  Client client(port_);
  for (int i = 0; i < 3; ++i) {
    client.put("POST /now HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\nhi");
    EXPECT_THAT(client.read_until("POST hi"), HasSubstr("connection: keep-alive"));
  }
  client.put("GET /now HTTP/1.0\r\n\r\n");
  EXPECT_THAT(client.read_all(), HasSubstr("<end>"));
}

TEST_F(HttpTest, StreamsInChunks) {
  listen();
  Client client(port_);
  client.get("/later");
  const Responder responder = kept();
  responder.begin(200, {{"content-type", "text/event-stream"}});
  responder.write("data: 1\n\n");
  EXPECT_THAT(client.read_until("data: 1\n\n\r\n"), HasSubstr("9\r\ndata: 1"));
  responder.write("data: 2\n\n");
  responder.end();
  EXPECT_THAT(client.read_until("0\r\n\r\n"), HasSubstr("data: 2"));
  client.get("/now");
  EXPECT_THAT(client.read_until("GET "), HasSubstr("200 OK"));
  EXPECT_TRUE(responder.closed());
  EXPECT_EQ(n_closed_, 0);
}

TEST_F(HttpTest, SeesAClientLeaveWithoutWriting) {
  for (void (Client::*leave)() : {&Client::hang_up, &Client::reset, &Client::half_close}) {
    n_closed_ = 0;
    kept_ = {};
    listen();
    Client client(port_);
    client.get("/later");
    const Responder responder = kept();
    EXPECT_FALSE(responder.closed());
    (client.*leave)();
    EXPECT_TRUE(closes_within(milliseconds(5'000)));
    EXPECT_TRUE(responder.closed());
    responder.send({});  // nobody minds
  }
}

TEST_F(HttpTest, SeesAPipeliningClientLeave) {
  listen();
  Client client(port_);
  client.get("/later");
  const Responder responder = kept();
  client.put(std::string(20'000, 'x'));
  client.hang_up();
  EXPECT_TRUE(closes_within(milliseconds(5'000)));
}

TEST_F(HttpTest, OnCloseComesAtOnceWhenTheClientHasGone) {
  listen();
  Client client(port_);
  client.get("/later");
  const Responder responder = kept();
  client.hang_up();
  ASSERT_TRUE(closes_within(milliseconds(5'000)));
  bool called = false;
  responder.on_close([&] { called = true; });
  EXPECT_TRUE(called);
}

TEST_F(HttpTest, WritesInSilence) {
  HttpLimits limits;
  limits.silence = milliseconds(20);
  listen(limits);
  Client client(port_);
  client.get("/later");
  const Responder responder = kept();
  responder.begin(200, {}, ":\n\n");
  EXPECT_THAT(client.read_until(":\n\n\r\n3\r\n:\n\n"), Not(HasSubstr("<end>")));
}

TEST_F(HttpTest, AnAnswerThatIsLateBeginsInSilence) {
  listen();
  Client client(port_);
  client.get("/later");
  const Responder responder = kept();
  responder.begin_late(200, {{"x-kind", "late"}}, " ", milliseconds(20));
  EXPECT_THAT(client.read_until("1\r\n \r\n1\r\n \r\n"),
              AllOf(HasSubstr("x-kind: late"), HasSubstr("chunked"), Not(HasSubstr("<end>"))));
  responder.send({500, {}, "{}"});
  EXPECT_THAT(client.read_until("0\r\n\r\n"), HasSubstr("2\r\n{}\r\n"));
  client.get("/now");
  EXPECT_THAT(client.read_until("GET "), HasSubstr("content-length: 4"));
}

TEST_F(HttpTest, AnAnswerThatIsNotLateIsAsEver) {
  listen();
  Client client(port_);
  client.get("/later");
  const Responder responder = kept();
  responder.begin_late(200, {}, " ", milliseconds(50));
  responder.send({500, {}, "{}"});
  EXPECT_THAT(client.read_until("{}"), AllOf(HasSubstr(" 500 "), HasSubstr("content-length: 2")));
  EXPECT_EQ(client.read_until("never", milliseconds(150)), "");
}

TEST_F(HttpTest, DropsAClientThatDoesNotRead) {
  HttpLimits limits;
  limits.max_unsent = 1 << 16;
  listen(limits);
  Client client(port_);
  client.get("/later");
  const Responder responder = kept();
  responder.begin(200, {});
  for (int i = 0; i < 1000 && !responder.closed(); ++i) {
    responder.write(std::string(1 << 16, 'x'));
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_TRUE(closes_within(milliseconds(5'000)));
}

TEST_F(HttpTest, RefusesWhatBreaksHttp) {
  listen();
  struct Case {
    std::string request;
    std::string answer;
  };
  const std::string head = "POST /now HTTP/1.1\r\nHost: localhost\r\n";
  const std::vector<Case> cases = {
      {head + "Content-Length: 99000000000\r\n\r\n", "HTTP/1.1 413"},
      {head + "Content-Length: 99999999999999999999999\r\n\r\n", "HTTP/1.1 400"},
      {head + "Content-Length: -1\r\n\r\n", "HTTP/1.1 400"},
      {head + "Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 400"},
      {head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
      {head + "Transfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n", "HTTP/1.1 400"},
      {head + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nab\r\n", "HTTP/1.1 400"},
      {head + "Transfer-Encoding: xchunked\r\n\r\n", "HTTP/1.1 400"},
      {head + "Transfer-Encoding: chunked, gzip\r\n\r\n", "HTTP/1.1 400"},
      {head + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
      {head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
       "HTTP/1.1 400"},
      {"POST /now HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "HTTP/1.1 400"},
      {head + "Content-Length : 2\r\n\r\nhi", "HTTP/1.1 400"},
      {head + "X: a\nY: b\n\n", "HTTP/1.1 400"},
      {head + "X: " + std::string(20'000, 'x') + "\r\n\r\n", "HTTP/1.1 431"},
      {"GET /now HTTP/9.9\r\n\r\n", "HTTP/1.1 400"},
      {"GET\r\n\r\n", "HTTP/1.1 400"},
      {std::string("\0\x01\x02 nonsense\r\n\r\n", 16), "HTTP/1.1 400"},
      {"GET /now HTTP/1.1\r\nBad Header: 1\r\n\r\n", "HTTP/1.1 400"},
      {"GET /secret HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n", "HTTP/1.1 401"},
  };
  for (const Case& hostile : cases) {
    Client client(port_);
    client.put(hostile.request);
    const std::string answer = client.read_all();
    EXPECT_THAT(answer, StartsWith(hostile.answer)) << hostile.request.substr(0, 200);
    EXPECT_THAT(answer, HasSubstr("<end>"));
  }
  expect_alive();
}

TEST_F(HttpTest, BoundsTheBody) {
  HttpLimits limits;
  limits.body_bytes = 1000;
  listen(limits);
  Client client(port_);
  client.put("POST /now HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (int i = 0; i < 20; ++i) client.put("64\r\n" + std::string(100, 'x') + "\r\n");
  EXPECT_THAT(client.read_all(), StartsWith("HTTP/1.1 413"));
}

// Extensions of chunks mean nothing here, and take no memory.
TEST_F(HttpTest, BoundsTheLinesBetweenChunks) {
  listen();
  const std::string head = "POST /now HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
  Client plain(port_);
  plain.put(head + "2;a=b;c=\"d\"\r\nhi\r\n0;e\r\nTrailer: x\r\n\r\n");
  EXPECT_THAT(plain.read_until("POST hi"), HasSubstr("200 OK"));
  for (const char* line : {"2;x=", "0\r\nTrailer: "}) {
    Client client(port_);
    client.put(head + line);
    const std::string more(1 << 16, 'x');
    for (int i = 0; i < 16; ++i) client.put(more);
    EXPECT_THAT(client.read_until("<end>"), StartsWith("HTTP/1.1 4")) << line;
  }
  expect_alive();
}

TEST_F(HttpTest, AnswersHaveTheHeadersTheyAreMeantToHave) {
  listen();
  Client client(port_);
  client.get("/later");
  kept().send({200, {{"x-echo", "a\r\nset-cookie: b"}}, "text"});
  const std::string answer = client.read_until("text");
  EXPECT_THAT(answer, HasSubstr("x-echo: a  set-cookie: b\r\n"));
}

TEST_F(HttpTest, AsksForTheBodyWhenItIsExpectedTo) {
  listen();
  Client client(port_);
  client.put(
      "POST /now HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
  EXPECT_THAT(client.read_until("\r\n\r\n"), StartsWith("HTTP/1.1 100"));
  client.put("hi");
  EXPECT_THAT(client.read_until("POST hi"), HasSubstr("200 OK"));
}

TEST_F(HttpTest, DoesNotWaitForSlowHeaders) {
  HttpLimits limits;
  limits.header_timeout = limits.body_timeout = limits.idle_timeout = milliseconds(100);
  listen(limits);
  Client silent(port_);
  Client slow(port_);
  slow.put("GET /now HTTP/1.1\r\nX:");
  Client without_body(port_);
  without_body.put("POST /now HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nab");
  for (Client* client : {&silent, &slow, &without_body}) {
    EXPECT_EQ(client->read_all(), "<end>");
  }
}

TEST_F(HttpTest, BoundsConnections) {
  HttpLimits limits;
  limits.max_connections = 2;
  listen(limits);
  Client a(port_);
  Client b(port_);
  a.get("/now");
  b.get("/now");
  a.read_until("GET ");
  b.read_until("GET ");
  Client c(port_);
  EXPECT_EQ(c.read_all(), "<end>");
  a.hang_up();
  std::this_thread::sleep_for(milliseconds(50));
  expect_alive();
}

TEST_F(HttpTest, HeadHasNoBody) {
  listen();
  Client client(port_);
  client.put("HEAD /now HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  const std::string answer = client.read_all();
  EXPECT_THAT(answer, HasSubstr("content-length: 5\r\n"));
  EXPECT_THAT(answer, HasSubstr("\r\n\r\n<end>"));
}

TEST_F(HttpTest, StopSendsWhatIsComplete) {
  listen();
  Client client(port_);
  client.get("/later");
  kept().send({200, {}, std::string(3'000'000, 'x')});
  auto text = std::async(std::launch::async, [&] { return client.read_all(); });
  std::this_thread::sleep_for(milliseconds(20));
  server_->stop();
  EXPECT_GT(text.get().size(), 3'000'000U);
}

TEST_F(HttpTest, ServesAUnixSocket) {
  const test::TempFolder folder;
  const std::string path = folder.file("tidal.sock");
  listen({}, {path});
  Client client(path);
  client.get("/now");
  EXPECT_THAT(client.read_until("GET "), HasSubstr("200 OK"));
  server_.reset();
  EXPECT_EQ(folder.count(), 0U);
}

TEST_F(HttpTest, SaysWhereItCannotListen) {
  test::expect_error(ErrorCode::kIo, {"192.0.2.1", "port"}, [] {
    HttpOptions options;
    options.hosts = {"192.0.2.1"};
    const HttpServer server(options, {}, {});
  });
}

TEST_F(HttpTest, ManyStreamsCloseAtOnce) {
  constexpr int kStreams = 200;
  HttpOptions options;
  options.port = 0;
  std::atomic<int> open{0};
  std::atomic<int> closed{0};
  HttpServer server(
      options, [](const HttpRequest&, Headers*) { return std::optional<HttpReply>(); },
      [&](const HttpRequest&, const Responder& responder) {
        responder.on_close([&] { ++closed; });
        responder.begin(200, {}, ":\n\n");
        ++open;
      });
  const std::string url = server.urls().front();
  const auto port = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
  std::vector<std::unique_ptr<Client>> clients;
  for (int i = 0; i < kStreams; ++i) {
    clients.push_back(std::make_unique<Client>(port));
    clients.back()->get("/stream");
  }
  while (open < kStreams) std::this_thread::sleep_for(milliseconds(1));
  clients.clear();
  const auto latest = Clock::now() + milliseconds(10'000);
  while (closed < kStreams && Clock::now() < latest) std::this_thread::sleep_for(milliseconds(1));
  EXPECT_EQ(closed, kStreams);
}

}  // namespace
}  // namespace tidal::server
