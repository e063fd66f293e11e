#include "server/access.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/http_text.h"
#include "testing/temp_folder.h"
#include "tidal/error.h"

namespace tidal::server {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Pair;

HttpRequest request(Headers headers, std::string path = "/v1/models", std::string method = "GET") {
  HttpRequest result;
  result.method = std::move(method);
  result.path = std::move(path);
  result.headers = std::move(headers);
  result.local = true;
  return result;
}

// 0: it may go on.
int status(const AccessOptions& options, const HttpRequest& asked) {
  Headers headers;
  const auto refusal = check_access(options, asked, &headers);
  return refusal.has_value() ? refusal->status : 0;
}

Headers headers_for(const AccessOptions& options, const std::string& origin) {
  Headers headers;
  check_access(options, request({{"origin", origin}}), &headers);
  return headers;
}

TEST(Access, LoopbackIsForItsOwnName) {
  for (const char* host : {"localhost", "localhost:8080", "127.0.0.1:1", "[::1]:80", "127.1.2.3"}) {
    EXPECT_EQ(status({}, request({{"host", host}})), 0) << host;
  }
  for (const char* host :
       {"evil.com", "localhost.evil.com:80", "127.evil.com", "[::2]", "10.0.0.1"}) {
    EXPECT_EQ(status({}, request({{"host", host}})), 403) << host;
  }
  AccessOptions named;
  named.host_names = {"box.lan"};
  EXPECT_EQ(status(named, request({{"host", "box.lan:80"}})), 0);
  HttpRequest remote = request({{"host", "evil.com"}});
  remote.local = false;
  EXPECT_EQ(status({}, remote), 0);
}

TEST(Access, OnlyPagesOfThisMachineGetTheirOrigin) {
  for (const char* origin : {"http://localhost", "http://localhost:8080", "http://127.0.0.1:3000",
                             "http://[::1]:3000", "localhost"}) {
    EXPECT_THAT(headers_for({}, origin), Contains(Pair("Access-Control-Allow-Origin", origin)));
  }
  for (const char* origin :
       {"http://web.mydomain.fr", "http://notlocalhost", "null", "http://localhost.evil.com"}) {
    EXPECT_THAT(headers_for({}, origin), ElementsAre()) << origin;
  }
}

// A form or a fetch of plain text is sent without a preflight.
TEST(Access, OtherPagesHaveNothingDone) {
  const HttpRequest post =
      request({{"host", "localhost"}, {"origin", "http://evil.com"}}, "/v1/completions", "POST");
  EXPECT_EQ(status({}, post), 403);
  AccessOptions options;
  options.api_keys = {"k"};  // which no page knows
  EXPECT_EQ(status(options, post), 401);
  options = {};
  options.cors_origins = {"*"};
  EXPECT_EQ(status(options, post), 0);
  options = {};
  options.host_names = {"evil.com"};
  EXPECT_EQ(status(options, post), 0);
  HttpRequest remote = post;
  remote.local = false;
  EXPECT_EQ(status({}, remote), 0);
}

TEST(Access, OriginsCanBeNamed) {
  AccessOptions options;
  options.cors_origins = {"https://a.example"};
  EXPECT_EQ(headers_for(options, "https://a.example").size(), 3U);
  EXPECT_TRUE(headers_for(options, "http://localhost").empty());
  options.cors_origins = {"*"};
  EXPECT_EQ(headers_for(options, "https://b.example").size(), 3U);
}

TEST(Access, PreflightNeedsNoKey) {
  AccessOptions options;
  options.api_keys = {"k"};
  EXPECT_EQ(status(options, request({}, "/v1/models", "OPTIONS")), 200);
}

TEST(Access, KeysComeInTwoHeaders) {
  AccessOptions options;
  options.api_keys = {"first", "second"};
  EXPECT_EQ(status(options, request({{"authorization", "Bearer second"}})), 0);
  EXPECT_EQ(status(options, request({{"x-api-key", "first"}})), 0);
  for (const Headers& headers :
       {Headers{}, Headers{{"authorization", "Bearer "}}, Headers{{"authorization", "second"}},
        Headers{{"authorization", "Bearer secon"}}, Headers{{"authorization", "Bearer second2"}},
        Headers{{"x-api-key", "firstfirst"}}}) {
    EXPECT_EQ(status(options, request(headers)), 401);
  }
  EXPECT_EQ(status(options, request({}, "/health")), 0);
}

TEST(Access, KeysAreReadFromAFile) {
  const test::TempFolder folder;
  const std::string path = folder.write("keys", "# mine\nabc\r\n\n  \ndef");
  EXPECT_THAT(read_keys(path), ElementsAre("abc", "def"));
  folder.write("keys", "# none\n");
  EXPECT_THROW(read_keys(path), Error);
}

TEST(HttpText, TargetsAreTakenApart) {
  HttpRequest split;
  split_target("/a%20b%2/c?x=1&y=&z", &split);
  EXPECT_EQ(split.path, "/a b%2/c");
  EXPECT_EQ(split.query_value("x"), "1");
  EXPECT_EQ(split.query_value("y"), "");
  EXPECT_EQ(split.query_value("none"), "");
  EXPECT_EQ(header_value("a\r\nb"), "a  b");
}

}  // namespace
}  // namespace tidal::server
