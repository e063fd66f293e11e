#include "text/pre_tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "text/tokenizer_test_util.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> split(const PreTokenizer& pre_tokenizer, std::string_view text) {
  std::vector<std::string_view> pieces;
  pre_tokenizer.split(text, &pieces);
  return {pieces.begin(), pieces.end()};
}

std::vector<std::string> split(const std::string& name, std::string_view text) {
  return split(PreTokenizer(find_pre_tokenizer(name, "test").patterns, "test"), text);
}

std::string error_of(const std::string& pattern) {
  try {
    PreTokenizer({{.regex = pattern}}, "file.json");
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
    return error.what();
  }
  return "";
}

TEST(PreTokenizer, SplitsAsEachFamilyDoes) {
  EXPECT_THAT(split("gpt-2", "I'm 123  ok"), ElementsAre("I", "'m", " 123", " ", " ok"));
  EXPECT_THAT(split("smollm", "I'm 123"), ElementsAre("I", "'m", " ", "1", "2", "3"));
  EXPECT_THAT(split("llama-bpe", "I'M 12345\n\n x"),
              ElementsAre("I", "'M", " ", "123", "45", "\n\n", " x"));
  EXPECT_THAT(split("qwen2", "a12 b"), ElementsAre("a", "1", "2", " b"));
  EXPECT_THAT(split("falcon", "a1234.b"), ElementsAre("a", "123", "4", ".", "b"));
  EXPECT_THAT(split("deepseek-coder", " a.\nb"), ElementsAre(" a", ".", "\n", "b"));
  EXPECT_THAT(split("gpt-4o", "HelloWorld it's"), ElementsAre("Hello", "World", " it's"));
}

TEST(PreTokenizer, UnknownNameIsAnErrorThatListsTheKnown) {
  for (const char* name : {"nonesuch", "", "llama", "gpt-2 phi-2"}) {
    try {
      find_pre_tokenizer(name, "model.gguf");
      FAIL() << name;
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kUnsupported);
      EXPECT_THAT(error.what(), HasSubstr("model.gguf"));
      EXPECT_THAT(error.what(), HasSubstr("tokenizer.ggml.pre"));
      EXPECT_THAT(error.what(), HasSubstr("smollm"));
    }
  }
}

TEST(PreTokenizer, BadBytesArePiecesOfTheirOwn) {
  EXPECT_THAT(split("gpt-2", "ab\xFF\xFE cd\xE4\xB8"),
              ElementsAre("ab", "\xFF\xFE", " cd", "\xE4\xB8"));
}

TEST(PreTokenizer, MongolianVowelSeparatorIsNoSpace) {
  EXPECT_THAT(split("gpt-2", "a \xE1\xA0\x8E"), ElementsAre("a", " \xE1\xA0\x8E"));
}

TEST(PreTokenizer, GapsStayUnlessDropped) {
  EXPECT_THAT(split(PreTokenizer({{.regex = "b+"}}, "test"), "abbc"), ElementsAre("a", "bb", "c"));
  EXPECT_THAT(split(PreTokenizer({{.regex = "b+", .drop_gaps = true}}, "test"), "abbcb"),
              ElementsAre("bb", "b"));
  EXPECT_THAT(split(PreTokenizer({{.regex = "(?=b)"}}, "test"), "abbc"),
              ElementsAre("a", "b", "bc"));
}

TEST(PreTokenizer, PatternsThatPcre2WouldReadDifferentlyAreRefused) {
  for (const char* pattern :
       {R"(\w+)",         R"(\h)",   R"(\bx)",  "[a-z&&[^b]]", "[[:alpha:]]",
        R"(\p{L}{1,3}+)", "a{,3}",   "(*UTF)a", "(?R)",        "(?<name>a)",
        R"(\Qa)",         "a(",      "[a",      R"(\)",        R"(\p{Nonesuch})",
        R"(\pL)",         R"([\S])", "a{",      R"(\C)",       R"(a\K)",
        "(a)\\1",         "[]a]"}) {
    EXPECT_THAT(error_of(pattern), HasSubstr("file.json")) << pattern;
  }
  EXPECT_EQ(error_of(R"(\p{Han}+|\p{^Lu}|[\s\x{4E00}]|\S++)"), "");
  EXPECT_THAT(error_of(std::string(20000, 'a')), HasSubstr("20000"));
}

// Long runs of anything: no PCRE2 limit is hit, nothing is lost, and time stays linear.
TEST(PreTokenizer, OneMegabyteRunsAreLinearForEveryPattern) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr size_t kSize = 1 << 17;
#else
  constexpr size_t kSize = 1 << 20;
#endif
  std::set<std::string> seen;  // families: many names share their patterns
  for (const std::string& name : pre_tokenizer_names()) {
    const std::vector<SplitPattern> patterns = find_pre_tokenizer(name, "test").patterns;
    std::string all;
    for (const SplitPattern& pattern : patterns) all += pattern.regex + "\n";
    if (!seen.insert(all).second) continue;
    const PreTokenizer pre_tokenizer(patterns, "test");
    EXPECT_TRUE(pre_tokenizer.all_compiled_to_machine_code()) << name;
    for (const std::string unit : {"a", "A", "aB", "1", ".", " ", "\n", " \n", "'", "\xE4\xB8\xAD",
                                   "\xCC\x81", "\xFF", "a ", "\xC2\xA0", "/\n"}) {
      std::string text;
      while (text.size() < kSize) text += unit;
      text += "x";
      std::vector<std::string_view> pieces;
      expect_near_linear(text, name + " on " + unit, [&](std::string_view part) {
        pieces.clear();
        pre_tokenizer.split(part, &pieces);
      });
      const char* at = text.data();
      for (const std::string_view piece : pieces) {
        ASSERT_EQ(piece.data(), at) << name;
        at += piece.size();
      }
      EXPECT_EQ(at, text.data() + text.size()) << name;
    }
  }
}

TEST(PreTokenizer, LongRunsUnderGroupsSplitRightOrSayWhyNot) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "ab";
  const PreTokenizer groups({{.regex = "(?:a|b|(?:ab)+c)+"}}, "test");
  EXPECT_THAT(split(groups, text), ElementsAre(text));
  const PreTokenizer runaway({{.regex = "(?:a+)+[cd]"}}, "file.json");
  try {
    split(runaway, std::string(5000, 'a'));
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kExhausted);
    EXPECT_THAT(error.what(), HasSubstr("file.json"));
    EXPECT_THAT(error.what(), HasSubstr("(?:a+)+[cd]"));
  }
}

}  // namespace
}  // namespace tidal::test
