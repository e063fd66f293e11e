#include "base/json.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "testing/error.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

TEST(JsonTest, ParsesWhatIsWellFormed) {
  const auto json = parse_json(R"({"a": [1, -2, 3.5], "b": {"c": "grüße"}, "a2": null})", "x");
  EXPECT_EQ(json["a"][1], -2);
  EXPECT_EQ(json["b"]["c"], "grüße");
  EXPECT_TRUE(json["a2"].is_null());
}

TEST(JsonTest, NamesFileLineAndColumn) {
  const auto expect = [](std::string_view text, const std::string& place) {
    expect_error(ErrorCode::kCorrupt, {"bad.json", "not valid JSON", place},
                 [&] { parse_json(text, "bad.json"); });
  };
  expect("", "line 1, column 1");
  expect("{", "line 1, column 2");
  expect("{\n  \"a\": 1,\n  oops\n}", "line 3, column 3");
  expect("[1, 2", "line 1");
  expect("[1] 2", "line 1, column 5");
  expect("\"\xff\"", "line 1");
  expect("nul", "line 1");
  expect("// comment\n1", "line 1");
  expect(std::string_view("[\0]", 3), "line 1, column 2");
}

TEST(JsonTest, RefusesNumbersBeyondEveryType) {
  expect_error(ErrorCode::kCorrupt, {"x.json"}, [] { parse_json("[1e999]", "x.json"); });
}

TEST(JsonTest, LimitsNesting) {
  const auto nested = [](int depth, char open, char close) {
    return std::string(depth, open) + std::string(depth, close);
  };
  EXPECT_NO_THROW(parse_json(nested(64, '[', ']'), "x"));
  for (const int depth : {65, 100000, 10000000}) {
    expect_error(ErrorCode::kCorrupt, {"deep.json", "64"},
                 [&] { parse_json(nested(depth, '[', ']'), "deep.json"); });
  }
  std::string objects;
  for (int i = 0; i < 100000; ++i) objects += "{\"a\":";
  expect_error(ErrorCode::kCorrupt, {"deep.json", "64"}, [&] { parse_json(objects, "deep.json"); });
}

TEST(JsonTest, DuplicateKeys) {
  const char* twice = R"({"a": 1, "b": {"a": 2}, "a": 3})";
  EXPECT_EQ(parse_json(twice, "x")["a"], 3);
  expect_error(ErrorCode::kCorrupt, {"x.json", "\"a\" appears twice"},
               [&] { parse_json(twice, "x.json", DuplicateKeys::kReject); });
  EXPECT_NO_THROW(parse_json(R"([{"a": 1}, {"a": {"a": 2}}])", "x", DuplicateKeys::kReject));
}

TEST(JsonTest, KeepsTheOrderOfKeys) {
  EXPECT_EQ(parse_ordered_json(R"({"b": 1, "a": {"d": 2, "c": 3}, "b": 4})", "x").dump(),
            R"({"b":4,"a":{"d":2,"c":3}})");
  std::string many = "{";
  for (int i = 0; i < 1024; ++i) many += fmt::format("\"{}\": 0, ", i);
  expect_error(ErrorCode::kCorrupt, {"many.json", "1024 keys"},
               [&] { parse_ordered_json(many + R"("x": 0})", "many.json"); });
  many.replace(many.size() - 2, 2, "}");
  EXPECT_EQ(parse_ordered_json(many, "x").size(), 1024u);
  expect_error(ErrorCode::kCorrupt, {"64"}, [] { parse_ordered_json(std::string(65, '['), "x"); });
}

TEST(JsonTest, ReadsFiles) {
  const TempFolder folder;
  const std::string config = folder.write("config.json", R"({"hidden_size": 64})");
  EXPECT_EQ(read_json_file(config)["hidden_size"], 64);
  const auto expect = [&](ErrorCode code, const std::string& path) {
    expect_error(code, {path}, [&] { read_json_file(path); });
  };
  expect(ErrorCode::kCorrupt, folder.write("empty.json", ""));
  expect(ErrorCode::kCorrupt, folder.write("cut.json", R"({"hidden_size": )"));
  expect(ErrorCode::kNotFound, folder.file("absent.json"));
  expect(ErrorCode::kIo, folder.string());
}

}  // namespace
}  // namespace tidal::test
