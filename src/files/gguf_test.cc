#include "files/gguf.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "base/quote.h"
#include "files/gguf_writer_test_util.h"
#include "testing/error.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kFolder = data_path("files/");

// Both versions of the file written by tests/fixtures/make_file_fixtures.py.
class GgufFixtureTest : public testing::TestWithParam<int> {
 protected:
  const GgufFile file_ = GgufFile::open(kFolder + "tiny-v" + std::to_string(GetParam()) + ".gguf");
};

TEST_P(GgufFixtureTest, ReadsEveryMetadataType) {
  EXPECT_EQ(file_.version(), static_cast<uint32_t>(GetParam()));
  EXPECT_EQ(file_.require_string("general.architecture"), "tiny");
  EXPECT_EQ(file_.find_string("text.plain"), "grüße\n\tworld");
  EXPECT_EQ(file_.find_int("int.uint8"), 255);
  EXPECT_EQ(file_.find_int("int.int8"), -128);
  EXPECT_EQ(file_.find_int("int.uint16"), 65535);
  EXPECT_EQ(file_.find_int("int.int16"), -32768);
  EXPECT_EQ(file_.find_int("int.uint32"), 4294967295);
  EXPECT_EQ(file_.find_int("int.int32"), -2147483648);
  EXPECT_EQ(file_.find_int("int.uint64"), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(file_.find_int("int.int64"), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(file_.find_float("float.float32"), static_cast<double>(0.1f));
  EXPECT_EQ(file_.find_float("float.float64"), 0.1);
  EXPECT_EQ(file_.find_float("int.int8"), -128.0);
  EXPECT_EQ(file_.find_bool("bool.true"), true);
  EXPECT_EQ(file_.find_bool("bool.false"), false);
  EXPECT_THAT(*file_.find_strings("list.strings"),
              ElementsAre("a", "", "grüße", std::string(300, 'x')));
  EXPECT_THAT(*file_.find_ints("list.ints"), ElementsAre(1, -2, 3));
  EXPECT_THAT(*file_.find_floats("list.floats"), ElementsAre(0.5f, -1.5f));
  EXPECT_THAT(*file_.find_floats("list.ints"), ElementsAre(1.0f, -2.0f, 3.0f));
}

TEST_P(GgufFixtureTest, DecodesEveryTensorType) {
  for (const DTypeInfo& info : all_dtypes()) {
    const TensorInfo* tensor = file_.find_tensor(info.name);
    const TensorInfo* expected = file_.find_tensor(std::string(info.name) + ".expected");
    ASSERT_NE(tensor, nullptr) << info.name;
    ASSERT_NE(expected, nullptr) << info.name;
    EXPECT_EQ(dtype_name(tensor->dtype), info.name);
    EXPECT_THAT(tensor->shape, ElementsAre(3, 256));
    EXPECT_EQ(tensor->bytes, dtype_row_bytes(tensor->dtype, 3 * 256));
    std::vector<float> values(3 * 256);
    decode_row(tensor->dtype, tensor->data, values.data(), 3 * 256);
    EXPECT_EQ(std::memcmp(values.data(), expected->data, expected->bytes), 0) << info.name;
  }
}

TEST_P(GgufFixtureTest, NamesTheOutermostDimensionFirst) {
  EXPECT_THAT(file_.find_tensor("four.dimensions")->shape, ElementsAre(2, 3, 4, 5));
  EXPECT_EQ(file_.tensors().size(), 2 * all_dtypes().size() + 1);
  EXPECT_EQ(file_.tensors().front().name, "F32");
  for (const TensorInfo& tensor : file_.tensors()) {
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.data) % 8, 0u);
    EXPECT_EQ(file_.find_tensor(tensor.name), &tensor);
  }
}

TEST_P(GgufFixtureTest, AbsentIsNotAnError) {
  EXPECT_EQ(file_.find_int("no.such"), std::nullopt);
  EXPECT_EQ(file_.find_float(""), std::nullopt);
  EXPECT_EQ(file_.find_bool("int.uint8.more"), std::nullopt);
  EXPECT_EQ(file_.find_string("zzz"), std::nullopt);
  EXPECT_EQ(file_.find_strings("no.such"), std::nullopt);
  EXPECT_EQ(file_.find_ints("no.such"), std::nullopt);
  EXPECT_EQ(file_.find_floats("no.such"), std::nullopt);
  EXPECT_EQ(file_.find_tensor("no.such"), nullptr);
  EXPECT_FALSE(file_.has_key("no.such"));
}

TEST_P(GgufFixtureTest, ViewsSurviveAMove) {
  GgufFile first = GgufFile::open(file_.path());
  const std::string_view text = *first.find_string("text.plain");
  const TensorInfo* tensor = first.find_tensor("F32");
  const GgufFile second = std::move(first);
  EXPECT_EQ(text, "grüße\n\tworld");
  EXPECT_EQ(second.find_tensor("F32"), tensor);
  EXPECT_EQ(second.find_string("text.plain")->data(), text.data());
}

TEST_P(GgufFixtureTest, AWrongTypeNamesFileKeyAndBothTypes) {
  const std::string path = file_.path();
  const auto expect = [&](const std::string& key, const std::string& expected,
                          const std::string& found, auto&& f) {
    expect_error(ErrorCode::kCorrupt, {path, '"' + key + '"', expected, found}, f);
  };
  expect("text.plain", "an integer", "string", [&] { file_.find_int("text.plain"); });
  expect("float.float32", "an integer", "float32", [&] { file_.find_int("float.float32"); });
  expect("bool.true", "an integer", "bool", [&] { file_.find_int("bool.true"); });
  expect("bool.true", "a number", "bool", [&] { file_.find_float("bool.true"); });
  expect("list.ints", "an integer", "array of int32", [&] { file_.find_int("list.ints"); });
  expect("list.strings", "a string", "array of string", [&] { file_.find_string("list.strings"); });
  expect("int.uint8", "a boolean", "uint8", [&] { file_.find_bool("int.uint8"); });
  expect("int.uint8", "a string", "uint8", [&] { file_.find_string("int.uint8"); });
  expect("text.plain", "an array of strings", "string", [&] { file_.find_strings("text.plain"); });
  expect("list.ints", "an array of strings", "int32", [&] { file_.find_strings("list.ints"); });
  expect("list.strings", "an array of integers", "string",
         [&] { file_.find_ints("list.strings"); });
  expect("list.floats", "an array of integers", "float32", [&] { file_.find_ints("list.floats"); });
  expect("list.strings", "an array of numbers", "string",
         [&] { file_.find_floats("list.strings"); });
  expect("int.too_large", "9223372036854775808", "out of range",
         [&] { file_.find_int("int.too_large"); });
  expect("no.such", "missing", "", [&] { file_.require_int("no.such"); });
  expect("no.such", "missing", "", [&] { file_.require_float("no.such"); });
  expect("no.such", "missing", "", [&] { file_.require_string("no.such"); });
  expect("no.such", "missing", "", [&] { file_.require_strings("no.such"); });
}

TEST_P(GgufFixtureTest, DescribesItsMetadata) {
  const auto lines = file_.describe(22);
  const auto line = [&](std::string_view key) {
    for (const GgufLine& l : lines) {
      if (l.key == key) return l.type + " " + l.value;
    }
    return std::string("absent");
  };
  EXPECT_EQ(line("general.architecture"), "string \"tiny\"");
  EXPECT_EQ(line("text.plain"), "string \"grüße\\n\\tworld\"");
  EXPECT_EQ(line("int.int8"), "int8 -128");
  EXPECT_EQ(line("int.too_large"), "uint64 9223372036854775808");
  EXPECT_EQ(line("float.float64"), "float64 0.1");
  EXPECT_EQ(line("bool.true"), "bool true");
  EXPECT_EQ(line("list.ints"), "int32[3] 1, -2, 3");
  EXPECT_EQ(line("list.strings"), "string[4] \"a\", \"\", \"grüße\", \"xx\"...");
}

INSTANTIATE_TEST_SUITE_P(Versions, GgufFixtureTest, testing::Values(2, 3));

TEST(GgufTest, AFileWithNothingInIt) {
  GgufTestWriter writer = GgufTestWriter(0, 0);
  const GgufFile file = writer.parse();
  EXPECT_THAT(file.tensors(), IsEmpty());
  EXPECT_THAT(file.describe(), IsEmpty());
  EXPECT_EQ(file.alignment(), 32u);
}

TEST(GgufTest, ObeysTheAlignmentOfTheFile) {
  for (const uint32_t alignment : {8u, 32u, 4096u}) {
    GgufTestWriter writer = GgufTestWriter(2, 1)
                                .entry("general.alignment", GgufType::kUint32, alignment)
                                .tensor("a", {1}, 0, 0)
                                .tensor("b", {1}, 0, alignment)
                                .align(alignment)
                                .put(1.5f)
                                .align(alignment)
                                .put(2.5f);
    const GgufFile file = writer.parse();
    EXPECT_EQ(file.alignment(), alignment);
    float a, b;
    decode_row(DType::kF32, file.find_tensor("a")->data, &a, 1);
    decode_row(DType::kF32, file.find_tensor("b")->data, &b, 1);
    EXPECT_EQ(a, 1.5f);
    EXPECT_EQ(b, 2.5f);
  }
}

TEST(GgufTest, EmptyStringsArraysAndScalarsAreFine) {
  GgufTestWriter writer = GgufTestWriter(1, 3)
                              .entry("string", "")
                              .array("strings", GgufType::kString, 0)
                              .array("ints", GgufType::kInt64, 0)
                              .tensor("scalar", {}, 0, 0)
                              .align()
                              .put(4.0f);
  const GgufFile file = writer.parse();
  EXPECT_EQ(file.find_string("string"), "");
  EXPECT_THAT(*file.find_strings("strings"), IsEmpty());
  EXPECT_THAT(*file.find_ints("ints"), IsEmpty());
  EXPECT_THAT(file.find_tensor("scalar")->shape, IsEmpty());
  EXPECT_EQ(file.find_tensor("scalar")->bytes, 4u);
}

// Real files, if the machine has them.
TEST(GgufTest, ReadsTheVocabulariesOfOtherTools) {
  const std::filesystem::path folder = std::filesystem::path(shared_path("tokenizers"));
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " does not exist";
  int n_files = 0;
  for (const auto& item : std::filesystem::directory_iterator(folder)) {
    if (item.path().extension() != ".gguf") continue;
    const GgufFile file = GgufFile::open(item.path().string());
    EXPECT_GT(file.require_strings("tokenizer.ggml.tokens").size(), 30000u) << item.path();
    ++n_files;
  }
  EXPECT_GT(n_files, 0);
}

TEST(GgufTest, ReadsTheDefaultModel) {
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  const std::string folder = cache != nullptr  ? cache
                             : home != nullptr ? std::string(home) + "/.cache"
                                               : "";
  const std::string path = folder + "/tidal/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " does not exist";
  const GgufFile file = GgufFile::open(path);
  EXPECT_EQ(file.require_string("general.architecture"), "llama");
  EXPECT_EQ(file.require_int("llama.block_count"), 30);
  EXPECT_EQ(file.require_strings("tokenizer.ggml.tokens").size(), 49152u);
  const TensorInfo* embedding = file.find_tensor("token_embd.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(embedding->dtype, DType::kQ8_0);
  EXPECT_THAT(embedding->shape, ElementsAre(49152, 576));
  EXPECT_EQ(file.find_tensor("blk.29.ffn_down.weight")->dtype, DType::kQ4_1);
}

TEST(ModelFileTest, CountsElements) {
  using Shape = std::vector<int64_t>;
  EXPECT_EQ(element_count(Shape{}), 1);
  EXPECT_EQ(element_count(Shape{2, 3, 4}), 24);
  EXPECT_EQ(element_count(Shape{2, 0, 4}), 0);
  EXPECT_EQ(element_count(Shape{2, -1}), std::nullopt);
  EXPECT_EQ(element_count(Shape{int64_t{1} << 32, int64_t{1} << 31}), std::nullopt);
  EXPECT_EQ(element_count(Shape{0, int64_t{1} << 62, 4}), std::nullopt);
}

TEST(ModelFileTest, QuotesWhatAFileSays) {
  EXPECT_EQ(quote("plain"), "\"plain\"");
  EXPECT_EQ(quote("\x1b[31m\"\n"), "\"\\x1b[31m\\\"\\n\"");
  EXPECT_EQ(quote("\xff\xfe"), "\"\\xff\\xfe\"");
  EXPECT_EQ(quote("a\\\t\x7f"), "\"a\\\\\\t\\x7f\"");
  EXPECT_EQ(quote("\u20ac\U0001f30a"), "\"\u20ac\U0001f30a\"");
  // Reordering marks, surrogates, overlong forms, past the last character, cut short.
  EXPECT_EQ(quote("\u202e"), "\"\\xe2\\x80\\xae\"");
  EXPECT_EQ(quote("\xed\xa0\x80"), "\"\\xed\\xa0\\x80\"");
  EXPECT_EQ(quote("\xc0\xaf\xe0\x80\xaf"), "\"\\xc0\\xaf\\xe0\\x80\\xaf\"");
  EXPECT_EQ(quote("\xf4\x90\x80\x80"), "\"\\xf4\\x90\\x80\\x80\"");
  EXPECT_EQ(quote("\xe2\x82"), "\"\\xe2\\x82\"");
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text = {static_cast<char>(byte), 'x'};
    EXPECT_FALSE(quote(text).empty());
  }
  EXPECT_EQ(quote("grüße", 3), "\"gr\"...");
  EXPECT_EQ(quote("grüße", 4), "\"grü\"...");
  EXPECT_EQ(shape_string(std::vector<int64_t>{576, 1536}), "[576, 1536]");
  EXPECT_EQ(supported_dtypes(),
            "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, IQ4_NL, Q4_K, Q5_K, Q6_K");
}

}  // namespace
}  // namespace tidal::test
