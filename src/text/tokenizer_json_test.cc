#include "text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "text/tokenizer_test_support.h"
#include "tidal/error.h"

namespace tidal {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using testing::read_text;
using testing::shared_data;
using testing::test_data;

Tokenizer load(const std::string& path, const std::string& config = "") {
  return Tokenizer::create(read_tokenizer_json(read_text(path), config, path));
}

// Every text of a fixture encodes as the tokenizers library encodes it.
void expect_fixture(const Tokenizer& tokenizer, const std::string& name) {
  const json fixture = json::parse(read_text(test_data("text/tokenizer_" + name + ".json")));
  ASSERT_GT(fixture["cases"].size(), 40u);
  for (const json& test : fixture["cases"]) {
    const auto text = test["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, false, false), test["ids"].get<std::vector<TokenId>>())
        << text;
    EXPECT_EQ(tokenizer.encode(text, true, false), test["with_special"].get<std::vector<TokenId>>())
        << text;
  }
}

TEST(TokenizerJson, TinyByteLevelMatchesTheOracle) {
  expect_fixture(load(test_data("text/tiny_bpe_tokenizer.json")), "tiny_bpe");
}

TEST(TokenizerJson, TinyNormalizedMatchesTheOracle) {
  expect_fixture(load(test_data("text/tiny_nfc_tokenizer.json")), "tiny_nfc");
}

TEST(TokenizerJson, TinySentencePieceMatchesTheOracle) {
  expect_fixture(load(test_data("text/tiny_spm_tokenizer.json")), "tiny_spm");
}

TEST(TokenizerJson, SmolLm2MatchesTheOracle) {
  const std::string path = shared_data("tokenizers/smollm2-tokenizer.json");
  TIDAL_SKIP_WITHOUT(path);
  expect_fixture(load(path), "smollm2");
}

TEST(TokenizerJson, TinyStoriesMatchesTheOracle) {
  const std::string folder = shared_data("models/tinystories-656k/");
  TIDAL_SKIP_WITHOUT(folder + "tokenizer.json");
  const Tokenizer tokenizer =
      load(folder + "tokenizer.json", read_text(folder + "tokenizer_config.json"));
  expect_fixture(tokenizer, "tinystories");
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_TRUE(tokenizer.is_end_of_generation(2));
}

}  // namespace
}  // namespace tidal
