#include "text/tokenizer_json.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "text/tokenizer_test_util.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

Tokenizer load(const std::string& path, const std::string& config = "") {
  return Tokenizer::create(read_tokenizer_json(read_text(path), config, path));
}

// Every text of a fixture encodes as the tokenizers library encodes it.
void expect_fixture(const Tokenizer& tokenizer, const std::string& name) {
  const json fixture = json::parse(read_text(data_path("text/tokenizer_" + name + ".json")));
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
  expect_fixture(load(data_path("text/tiny_bpe_tokenizer.json")), "tiny_bpe");
}

TEST(TokenizerJson, TinyNormalizedMatchesTheOracle) {
  expect_fixture(load(data_path("text/tiny_nfc_tokenizer.json")), "tiny_nfc");
}

TEST(TokenizerJson, TinySentencePieceMatchesTheOracle) {
  expect_fixture(load(data_path("text/tiny_spm_tokenizer.json")), "tiny_spm");
}

TEST(TokenizerJson, SmolLm2MatchesTheOracle) {
  const std::string path = shared_path("tokenizers/smollm2-tokenizer.json");
  TIDAL_SKIP_WITHOUT(path);
  expect_fixture(load(path), "smollm2");
}

TEST(TokenizerJson, TinyStoriesMatchesTheOracle) {
  const std::string folder = shared_path("models/tinystories-656k/");
  TIDAL_SKIP_WITHOUT(folder + "tokenizer.json");
  const Tokenizer tokenizer =
      load(folder + "tokenizer.json", read_text(folder + "tokenizer_config.json"));
  expect_fixture(tokenizer, "tinystories");
  EXPECT_EQ(tokenizer.bos(), 1);
  EXPECT_EQ(tokenizer.eos(), 2);
  EXPECT_TRUE(tokenizer.is_end_of_generation(2));
}

json tiny(const std::string& name = "tiny_bpe") {
  return json::parse(read_text(data_path("text/" + name + "_tokenizer.json")));
}

std::string error_of(const std::string& text, const std::string& config = "",
                     ErrorCode* code = nullptr) {
  try {
    Tokenizer::create(read_tokenizer_json(text, config, "dir/tokenizer.json"));
  } catch (const Error& error) {
    EXPECT_THAT(error.what(), HasSubstr("dir/tokenizer"));
    if (code != nullptr) *code = error.code();
    return error.what();
  }
  return "";
}

// The tiny tokenizer with one change.
std::string error_with(const std::string& pointer, const json& value,
                       const std::string& name = "tiny_bpe") {
  json root = tiny(name);
  root[json::json_pointer(pointer)] = value;
  return error_of(root.dump());
}

TEST(TokenizerJson, SpecialTokensKeepTheirKinds) {
  const Tokenizer tokenizer = load(data_path("text/tiny_bpe_tokenizer.json"));
  EXPECT_EQ(tokenizer.bos(), 0);
  EXPECT_TRUE(tokenizer.adds_bos());
  EXPECT_TRUE(tokenizer.is_control(1));
  const TokenId tool = *tokenizer.find("<tool>");
  EXPECT_FALSE(tokenizer.is_control(tool));
  EXPECT_EQ(tokenizer.encode("<tool>", false, false), std::vector<TokenId>{tool});
  EXPECT_EQ(tokenizer.encode("<|end|>", false, true), std::vector<TokenId>{1});
  EXPECT_GT(tokenizer.encode("<|end|>", false, false).size(), 1u);
}

TEST(TokenizerJson, ConfigNamesTheRoles) {
  json root = tiny();
  root["post_processor"] = nullptr;
  const Tokenizer tokenizer = Tokenizer::create(read_tokenizer_json(
      root.dump(),
      R"({"bos_token":{"content":"<|begin|>"},"eos_token":"<|end|>","pad_token":"<pad>",
          "unk_token":null,"add_bos_token":true,"add_eos_token":true})",
      "t"));
  EXPECT_EQ(tokenizer.encode("", true, false), (std::vector<TokenId>{0, 1}));
  EXPECT_TRUE(tokenizer.is_end_of_generation(1));
  EXPECT_THAT(error_of(root.dump(), R"({"add_bos_token":1,"bos_token":"<pad>"})"),
              HasSubstr("add_bos_token"));
  EXPECT_THAT(error_of(root.dump(), "[]"), HasSubstr("tokenizer_config.json"));
  EXPECT_THAT(error_of(root.dump(), "{"), HasSubstr("tokenizer_config.json"));
}

TEST(TokenizerJson, MergesMayBePairs) {
  json root = tiny();
  const Tokenizer tokenizer = Tokenizer::create(read_tokenizer_json(root.dump(), "", "t"));
  for (json& merge : root["model"]["merges"]) {
    if (!merge.is_string()) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    } else {
      const auto text = merge.get<std::string>();
      merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
    }
  }
  const Tokenizer other = Tokenizer::create(read_tokenizer_json(root.dump(), "", "t"));
  EXPECT_EQ(other.encode("the clocks were striking", false, false),
            tokenizer.encode("the clocks were striking", false, false));
}

TEST(TokenizerJson, UnsupportedComponentsAreNamed) {
  ErrorCode code = ErrorCode::kIo;
  json root = tiny();
  root["pre_tokenizer"] = {{"type", "BertPreTokenizer"}};
  EXPECT_THAT(error_of(root.dump(), "", &code), HasSubstr("BertPreTokenizer"));
  EXPECT_EQ(code, ErrorCode::kUnsupported);
  EXPECT_THAT(error_with("/normalizer", {{"type", "NFKC"}}), HasSubstr("NFKC"));
  EXPECT_THAT(error_with("/normalizer", {{"type", "Prepend"}, {"prepend", "x"}}),
              HasSubstr("Prepend"));
  EXPECT_THAT(error_with("/post_processor", {{"type", "RobertaProcessing"}}),
              HasSubstr("RobertaProcessing"));
  EXPECT_THAT(error_with("/decoder", {{"type", "WordPiece"}}), HasSubstr("WordPiece"));
  EXPECT_THAT(error_with("/model/type", "Unigram"), HasSubstr("Unigram"));
  EXPECT_THAT(error_with("/model/dropout", 0.1), HasSubstr("dropout"));
  EXPECT_THAT(error_with("/model/end_of_word_suffix", "</w>"), HasSubstr("end_of_word_suffix"));
  EXPECT_THAT(error_with("/added_tokens/0/single_word", true), HasSubstr("single_word"));
  EXPECT_THAT(error_with("/pre_tokenizer/pretokenizers/0/behavior", "MergedWithNext"),
              HasSubstr("MergedWithNext"));
  EXPECT_THAT(error_with("/pre_tokenizer/pretokenizers/0/pattern", {{"Regex", "\\w+"}}),
              HasSubstr("\\w"));
  EXPECT_THAT(error_with("/pre_tokenizer", nullptr), HasSubstr("byte-level"));
  EXPECT_THAT(error_with("/pre_tokenizer", {{"type", "ByteLevel"}}, "tiny_spm"),
              HasSubstr("byte-level"));
}

TEST(TokenizerJson, DamagedFilesAreNamed) {
  for (const char* text : {"", "{", "[]", "null", "{}", "\xFF", "{\"model\":3}", "nonsense"}) {
    EXPECT_NE(error_of(text), "") << text;
  }
  EXPECT_NE(error_of(std::string(200000, '[')), "");
  EXPECT_NE(error_of(std::string(200000, '[') + std::string(200000, ']')), "");
  EXPECT_THAT(error_with("/model/vocab", 7), HasSubstr("vocab"));
  EXPECT_THAT(error_with("/model/vocab/Q", -1), HasSubstr("not a token id"));
  EXPECT_THAT(error_with("/model/vocab/Q", 1.5), HasSubstr("not a token id"));
  EXPECT_THAT(error_with("/model/vocab/Q", 1e300), HasSubstr("not a token id"));
  EXPECT_THAT(error_with("/model/vocab/Q", 2000000000), HasSubstr("2000000000"));
  EXPECT_THAT(error_with("/model/vocab/Q", 5), HasSubstr("id 5"));
  EXPECT_THAT(error_with("/model/merges", nullptr), HasSubstr("merges"));
  EXPECT_THAT(error_with("/model/merges/0", "onlyone"), HasSubstr("merge 0"));
  EXPECT_THAT(error_with("/model/merges/0", "Q nonesuch"), HasSubstr("merge 0"));
  EXPECT_THAT(error_with("/model/merges/0", json::array({"a", 3})), HasSubstr("merge 0"));
  EXPECT_THAT(error_with("/model/merges/0", json::array({"a b", "c"})), HasSubstr("merge 0"));
  EXPECT_THAT(error_with("/added_tokens", "x"), HasSubstr("added_tokens"));
  EXPECT_THAT(error_with("/added_tokens/0", 3), HasSubstr("added_tokens"));
  EXPECT_THAT(error_with("/added_tokens/0/id", 4294967295u), HasSubstr("\"id\""));
  EXPECT_THAT(error_with("/added_tokens/0/content", nullptr), HasSubstr("content"));
  EXPECT_THAT(error_with("/post_processor/single", json::array()), HasSubstr("without the text"));
  EXPECT_THAT(error_with("/post_processor/special_tokens", json::object()), HasSubstr("<|begin|>"));
  EXPECT_THAT(error_with("/post_processor/special_tokens/<|begin|>/ids/0", 99999),
              HasSubstr("99999"));
}

TEST(TokenizerJson, HolesInTheIdsAreUnusedTokens) {
  json root = tiny();
  root["model"]["vocab"]["Qq"] = 1000;
  const Tokenizer tokenizer = Tokenizer::create(read_tokenizer_json(root.dump(), "", "t"));
  EXPECT_EQ(tokenizer.vocab_size(), 1001);
  EXPECT_EQ(tokenizer.piece(1000), "Qq");
  EXPECT_EQ(tokenizer.piece(900), "");
}

// Found by fuzzing: the JSON library reports a number out of range with its own exception.
TEST(TokenizerJson, BrokenJsonIsAnError) {
  for (const char* text : {"", "{", "1e33999999999999999", "[1e999]", "\xff"}) {
    EXPECT_THROW(read_tokenizer_json(text, "", "tokenizer.json"), Error) << text;
    EXPECT_THROW(read_tokenizer_json("{}", text, "tokenizer.json"), Error) << text;
  }
}

}  // namespace
}  // namespace tidal::test
