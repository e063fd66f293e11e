// The chat templates of tests/data/chat compared with what transformers renders.
#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "testing/paths.h"
#include "text/chat_template.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

const std::string kFolder = data_path("chat/");

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  return {std::istreambuf_iterator<char>(file), {}};
}

std::vector<std::string> fixture_names() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() == ".json") names.push_back(entry.path().stem().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

class ChatFixture : public testing::TestWithParam<std::string> {};

std::tm parse_time(const std::string& text) {
  std::tm time{};
  EXPECT_NE(strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &time), nullptr);
  return time;
}

TEST_P(ChatFixture, RendersAsTransformersDoes) {
  const auto fixture = nlohmann::ordered_json::parse(read_file(kFolder + GetParam() + ".json"));
  const std::string source =
      read_file(kFolder + "templates/" + fixture["template"].get<std::string>());
  const ChatTemplate chat =
      ChatTemplate::create(source, fixture["bos_token"], fixture["eos_token"]);
  int compared = 0;
  for (const auto& test_case : fixture["cases"]) {
    SCOPED_TRACE(test_case["name"].get<std::string>());
    ChatOptions options;
    options.add_generation_prompt = test_case["add_generation_prompt"];
    options.tools = test_case.value("tools", nlohmann::ordered_json());
    options.variables = test_case.value("variables", nlohmann::ordered_json());
    options.jinja.now = parse_time(fixture["now"]);
    if (test_case.contains("error")) {
      EXPECT_THROW(chat.render(test_case["messages"], options), Error);
      continue;
    }
    try {
      EXPECT_EQ(chat.render(test_case["messages"], options),
                test_case["expected"].get<std::string>());
    } catch (const Error& error) {
      ADD_FAILURE() << error.what();
    }
    ++compared;
  }
  EXPECT_GT(compared, 20);
}

INSTANTIATE_TEST_SUITE_P(All, ChatFixture, testing::ValuesIn(fixture_names()),
                         [](const auto& parameter) { return parameter.param; });

}  // namespace
}  // namespace tidal::test
