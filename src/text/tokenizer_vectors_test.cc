// The published test vectors of real vocabularies, where they are at hand.
#include <gtest/gtest.h>

#include <chrono>

#include "text/tokenizer_test_support.h"

namespace tidal {
namespace {

using testing::exists;
using testing::read_text;
using testing::shared_data;

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
  return shared_data("tokenizers/ggml-vocab-" + name + ".gguf");
}

class TokenizerVectors : public ::testing::TestWithParam<const char*> {};

TEST_P(TokenizerVectors, MatchExactly) {
  TIDAL_SKIP_WITHOUT(vocabulary_path(GetParam()));
  const Tokenizer tokenizer =
      Tokenizer::create(testing::read_gguf_vocabulary(vocabulary_path(GetParam())));
  const std::string stem = shared_data(std::string("tokenizers/vectors/") + GetParam());
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

double seconds_to_encode(const Tokenizer& tokenizer, const std::string& text) {
  const auto begin = std::chrono::steady_clock::now();
  const auto ids = tokenizer.encode(text, false, false);
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(tokenizer.decode(ids, true), text);
  return taken.count();
}

std::string repeat(const std::string& unit, size_t bytes) {
  std::string text;
  while (text.size() < bytes) text += unit;
  return text;
}

TEST_P(TokenizerVectors, OneMegabyteTakesUnderASecond) {
  TIDAL_SKIP_WITHOUT(vocabulary_path(GetParam()));
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "timed without sanitizers only";
#endif
  const Tokenizer tokenizer =
      Tokenizer::create(testing::read_gguf_vocabulary(vocabulary_path(GetParam())));
  constexpr size_t kSize = 1 << 20;
  for (const char* unit : {"a", "abcdefghijklmnopqrstuvwxyz", "1", "!", "中", " ", "\n", "a b1.\n",
                           "It was the best of times, it was the worst of times.\n"}) {
    const double taken = seconds_to_encode(tokenizer, repeat(unit, kSize));
    EXPECT_LT(taken, 1.0) << unit;
    RecordProperty(unit, std::to_string(taken));
  }
}

}  // namespace
}  // namespace tidal
