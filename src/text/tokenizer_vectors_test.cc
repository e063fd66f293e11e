// The published test vectors of real vocabularies, if available.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "text/tokenizer_test_util.h"

namespace tidal::test {
namespace {

std::vector<std::string> read_inputs(const std::string& path) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  const std::string text = read_text(path);
  std::vector<std::string> inputs;
  size_t at = 0;
  for (size_t hit; (hit = text.find(separator, at)) != std::string::npos;
       at = hit + separator.size()) {
    inputs.push_back(text.substr(at, hit - at));
  }
  return inputs;
}

std::vector<std::vector<TokenId>> read_outputs(const std::string& path) {
  std::istringstream lines(read_text(path));
  std::vector<std::vector<TokenId>> outputs;
  for (std::string line; std::getline(lines, line);) {
    std::istringstream numbers(line);
    outputs.emplace_back();
    for (TokenId id; numbers >> id;) outputs.back().push_back(id);
  }
  return outputs;
}

std::string vocabulary_path(const std::string& name) {
  return shared_path("tokenizers/ggml-vocab-" + name + ".gguf");
}

class TokenizerVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerVectors, MatchExactly) {
  TIDAL_SKIP_WITHOUT(vocabulary_path(GetParam()));
  const Tokenizer tokenizer = Tokenizer::create(read_gguf_vocabulary(vocabulary_path(GetParam())));
  const std::string stem = shared_path(std::string("tokenizers/vectors/") + GetParam());
  const auto inputs = read_inputs(stem + ".inp");
  const auto outputs = read_outputs(stem + ".out");
  ASSERT_EQ(inputs.size(), 46u);
  ASSERT_EQ(outputs.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(inputs[i], false, false), outputs[i]) << "\"" << inputs[i] << "\"";
    EXPECT_EQ(tokenizer.decode(outputs[i], true), inputs[i]);
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerVectors,
                         ::testing::Values("gpt-2", "starcoder", "deepseek-coder", "falcon",
                                           "phi-3", "llama-spm"));

// Of this process, so that other load on the machine does not count.
std::string repeat(const std::string& unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

// Pseudo-words, most of them different: the word cache is of little help.
std::string varied_text(size_t bytes) {
  std::string text;
  uint32_t state = 1;
  while (text.size() < bytes) {
    state = state * 1664525u + 1013904223u;
    for (uint32_t n = 2 + (state >> 28); n > 0; --n) {
      state = state * 1664525u + 1013904223u;
      text.push_back(static_cast<char>('a' + (state >> 24) % 26));
    }
    text += (state >> 20) % 12 == 0 ? ".\n" : " ";
  }
  return text;
}

TEST_P(TokenizerVectors, OneMegabyteTakesNearLinearTime) {
  TIDAL_SKIP_WITHOUT(vocabulary_path(GetParam()));
  const Tokenizer tokenizer = Tokenizer::create(read_gguf_vocabulary(vocabulary_path(GetParam())));
  constexpr size_t kSize = 1 << 20;
  for (const std::string& text :
       {varied_text(kSize), repeat("It was the best of times, it was the worst of times.\n", kSize),
        repeat("abcdefghijklmnopqrstuvwxyz", kSize), repeat("中", kSize), repeat(" ", kSize)}) {
    std::vector<TokenId> ids;
    expect_near_linear(text, text.substr(0, 60),
                       [&](std::string_view part) { ids = tokenizer.encode(part, false, false); });
    EXPECT_TRUE(tokenizer.decode(ids, true) == text);
  }
}

// The vocabulary is Qwen2.5's vocab.json and merges.txt; its vectors are those of qwen2.
TEST(TokenizerVectorsQwen2, MatchExactly) {
  const std::string folder = shared_path("tokenizers/");
  TIDAL_SKIP_WITHOUT(folder + "qwen2.5-vocab.json");
  TokenizerData data;
  data.model = "gpt2";
  data.pre = "qwen2";
  const auto vocabulary = nlohmann::json::parse(read_text(folder + "qwen2.5-vocab.json"));
  data.tokens.resize(vocabulary.size());
  for (const auto& [text, id] : vocabulary.items()) data.tokens.at(id.get<size_t>()) = text;
  std::istringstream merges(read_text(folder + "qwen2.5-merges.txt"));
  for (std::string line; std::getline(merges, line);) {
    if (!line.empty() && !line.starts_with("#version")) data.merges.push_back(line);
  }
  const Tokenizer tokenizer = Tokenizer::create(data);
  const auto inputs = read_inputs(shared_path("tokenizers/vectors/qwen2.inp"));
  const auto outputs = read_outputs(shared_path("tokenizers/vectors/qwen2.out"));
  ASSERT_EQ(inputs.size(), 46u);
  ASSERT_EQ(outputs.size(), inputs.size());
  for (size_t i = 0; i < inputs.size(); ++i) {
    EXPECT_EQ(tokenizer.encode(inputs[i], false, false), outputs[i]) << "\"" << inputs[i] << "\"";
    EXPECT_EQ(tokenizer.decode(outputs[i]), inputs[i]);
  }
  data.normalize_nfc = true;  // as in its tokenizer.json
  const Tokenizer normalizing = Tokenizer::create(data);
  const auto fixture = nlohmann::json::parse(read_text(data_path("text/tokenizer_qwen2.5.json")));
  for (const auto& test : fixture["cases"]) {
    const auto text = test["text"].get<std::string>();
    EXPECT_EQ(normalizing.encode(text, false, false), test["ids"].get<std::vector<TokenId>>())
        << text;
  }
}

// The default model's GGUF metadata and SmolLM2's tokenizer.json describe the same tokenizer.
TEST(TokenizerVectorsSmolLm2, GgufMatchesTheOracle) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string path =
      (cache != nullptr ? std::string(cache)
                        : std::string(home != nullptr ? home : "") + "/.cache") +
      "/tidal/SmolLM2-135M-Instruct.Q4_1.gguf";
  TIDAL_SKIP_WITHOUT(path);
  const Tokenizer tokenizer = Tokenizer::create(read_gguf_vocabulary(path));
  const auto fixture = nlohmann::json::parse(read_text(data_path("text/tokenizer_smollm2.json")));
  for (const auto& test : fixture["cases"]) {
    const auto text = test["text"].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, false, false), test["ids"].get<std::vector<TokenId>>())
        << text;
  }
  const auto end = tokenizer.find("<|im_end|>");
  ASSERT_TRUE(end.has_value());
  EXPECT_TRUE(tokenizer.is_end_of_generation(*end));
  const std::string turn = "<|im_start|>user\nHi<|im_end|>";
  EXPECT_EQ(tokenizer.encode(turn, false, true).size(), 5u);
  EXPECT_GT(tokenizer.encode(turn, false, false).size(), 10u);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(turn, false, true), true), turn);
}

}  // namespace
}  // namespace tidal::test
