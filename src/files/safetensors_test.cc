#include "files/safetensors.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "testing/error.h"
#include "testing/paths.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::string kFolder = data_path("files/");

std::vector<float> values_of(const TensorInfo* tensor) {
  if (tensor == nullptr) return {};
  const int64_t count = element_count(tensor->shape).value();
  std::vector<float> values(static_cast<size_t>(count));
  decode_row(tensor->dtype, tensor->data, values.data(), count);
  return values;
}

const auto kGrid = ElementsAre(-2.5f, -1.5f, -0.5f, 0.5f, 1.5f, 2.5f);

TEST(SafetensorsTest, ReadsOneFile) {
  const auto file = SafetensorsFolder::open(kFolder + "tiny.safetensors");
  EXPECT_THAT(values_of(file.find_tensor("a.f32")), kGrid);
  EXPECT_THAT(values_of(file.find_tensor("b.f16")), kGrid);
  EXPECT_THAT(values_of(file.find_tensor("c.bf16")), kGrid);
  EXPECT_EQ(file.find_tensor("b.f16")->dtype, DType::kF16);
  EXPECT_EQ(file.find_tensor("c.bf16")->dtype, DType::kBF16);
  EXPECT_THAT(file.find_tensor("a.f32")->shape, ElementsAre(2, 3));
  EXPECT_THAT(values_of(file.find_tensor("g.scalar")), ElementsAre(3.0f));
  EXPECT_THAT(file.find_tensor("f.empty")->shape, ElementsAre(0, 7));
  EXPECT_EQ(file.find_tensor("f.empty")->bytes, 0u);
  EXPECT_EQ(file.find_tensor("no.such"), nullptr);
  EXPECT_EQ(file.tensors().size(), 5u);
}

TEST(SafetensorsTest, RefusesTensorsItCannotReadOnlyWhenAskedForThem) {
  const std::string path = kFolder + "tiny.safetensors";
  const auto file = SafetensorsFolder::open(path);
  expect_error(ErrorCode::kUnsupported, {path, "\"d.i64\"", "I64", "F32, F16 and BF16"},
               [&] { file.find_tensor("d.i64"); });
  expect_error(ErrorCode::kUnsupported, {path, "\"e.five_dimensions\"", "5 dimensions"},
               [&] { file.find_tensor("e.five_dimensions"); });
}

TEST(SafetensorsTest, ReadsSeveralFilesBehindAnIndex) {
  for (const std::string& path :
       {kFolder + "sharded", kFolder + "sharded/model.safetensors.index.json"}) {
    SafetensorsFolder first = SafetensorsFolder::open(path);
    const TensorInfo* before = first.find_tensor("third");
    const SafetensorsFolder folder = std::move(first);
    EXPECT_EQ(folder.find_tensor("third"), before);
    EXPECT_THAT(values_of(folder.find_tensor("first")), kGrid);
    EXPECT_THAT(values_of(folder.find_tensor("second")), kGrid);
    EXPECT_THAT(values_of(folder.find_tensor("third")),
                ElementsAre(7.5f, 8.5f, 9.5f, 10.5f, 11.5f, 12.5f));
    EXPECT_EQ(folder.tensors().size(), 3u);
  }
}

// The bytes of a file with this header and n bytes of data.
std::vector<std::byte> file_bytes(std::string_view header, size_t n_data) {
  std::vector<std::byte> bytes(8 + header.size() + n_data);
  const uint64_t n_header = header.size();
  std::memcpy(bytes.data(), &n_header, 8);
  std::memcpy(bytes.data() + 8, header.data(), header.size());
  return bytes;
}

void expect_bad(std::string_view header, size_t n_data, std::vector<std::string> parts,
                ErrorCode code = ErrorCode::kCorrupt) {
  parts.push_back("bad.safetensors");
  expect_error(code, parts,
               [&] { parse_safetensors(file_bytes(header, n_data), "bad.safetensors"); });
}

std::string tensor(std::string_view name, std::string_view dtype, std::string_view shape,
                   std::string_view offsets) {
  return fmt::format(R"("{}":{{"dtype":"{}","shape":{},"data_offsets":{}}})", name, dtype, shape,
                     offsets);
}

std::string object(const std::vector<std::string>& members) {
  return fmt::format("{{{}}}", fmt::join(members, ","));
}

std::string one_tensor(std::string_view dtype, std::string_view shape, std::string_view offsets) {
  return object({tensor("w", dtype, shape, offsets)});
}

TEST(SafetensorsHostileTest, TheBaseOfTheseTestsIsFine) {
  const auto bytes = file_bytes(one_tensor("F32", "[2,3]", "[0,24]") + "   ", 24);
  EXPECT_EQ(parse_safetensors(bytes, "x").tensors.size(), 1u);
  EXPECT_THAT(parse_safetensors(file_bytes("{}", 0), "x").tensors, IsEmpty());
}

TEST(SafetensorsHostileTest, HeaderLength) {
  expect_error(ErrorCode::kCorrupt, {"x", "empty"}, [] { parse_safetensors({}, "x"); });
  const auto whole = file_bytes(one_tensor("F32", "[2,3]", "[0,24]"), 24);
  for (size_t n = 0; n < whole.size(); ++n) {
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
    expect_error(ErrorCode::kCorrupt, {"cut"}, [&] { parse_safetensors(part, "cut"); });
  }
  for (const uint64_t n : {whole.size() - 7, size_t{100'000'001}, size_t{1} << 32, size_t{1} << 63,
                           SIZE_MAX - 7, SIZE_MAX}) {
    auto bytes = whole;
    std::memcpy(bytes.data(), &n, 8);
    expect_error(ErrorCode::kCorrupt, {"long", "header's length " + std::to_string(n)},
                 [&] { parse_safetensors(bytes, "long"); });
  }
}

TEST(SafetensorsHostileTest, HeaderIsNotWhatItShouldBe) {
  expect_bad("", 0, {"JSON"});
  expect_bad("{", 0, {"JSON"});
  expect_bad("[]", 0, {"not an object"});
  expect_bad("7", 0, {"not an object"});
  expect_bad(std::string(100000, '['), 0, {"nested deeper"});
  expect_bad(R"({"__metadata__": 3})", 0, {"__metadata__"});
  expect_bad(R"({"w": 3})", 0, {"\"w\"", "not an object"});
  expect_bad(R"({"w": {}})", 0, {"\"w\"", "\"shape\" is missing"});
  expect_bad(R"({"w": {"shape": [1], "data_offsets": [0, 4]}})", 4, {"\"dtype\" is missing"});
  expect_bad(R"({"w": {"shape": [1], "dtype": "F32"}})", 4, {"\"data_offsets\" is missing"});
  expect_bad(R"({"w": {"shape": [1], "dtype": 5, "data_offsets": [0, 4]}})", 4,
             {"\"dtype\" is not a string"});
  expect_bad(object({tensor("w", "F32", "[1]", "[0,4]"), tensor("w", "F32", "[1]", "[4,8]")}), 8,
             {"\"w\" appears twice"});
}

TEST(SafetensorsHostileTest, Shapes) {
  for (const char* shape : {"3", "\"[1]\"", "{}", "null"}) {
    expect_bad(one_tensor("F32", shape, "[0,4]"), 4, {"\"w\"", "\"shape\" is not an array"});
  }
  for (const char* shape : {"[-1]", "[1.0]", "[\"1\"]", "[[1]]", "[null]", "[9223372036854775808]",
                            "[1e3]", "[99999999999999999999]"}) {
    expect_bad(one_tensor("F32", shape, "[0,4]"), 4, {"\"w\"", "whole numbers"});
  }
  std::string ones = "[1";
  for (int i = 0; i < 100; ++i) ones += ",1";
  expect_bad(one_tensor("F32", ones + "]", "[0,4]"), 4, {"\"w\"", "101 dimensions"});
}

TEST(SafetensorsHostileTest, ProductsThatWrap) {
  for (const char* shape :
       {"[4294967296,4294967296]", "[4294967296,2147483648]", "[4611686018427387904,4]",
        "[6148914691236517206,3]", "[65536,65536,65536,65536]", "[4611686018427387904]",
        "[4611686018427387905]", "[0,4611686018427387904,4]"}) {
    expect_bad(one_tensor("F32", shape, "[0,4]"), 4, {"\"w\"", "larger than any file"});
    expect_bad(one_tensor("F32", shape, "[0,0]"), 0, {"\"w\"", "larger than any file"});
  }
  expect_bad(one_tensor("F16", "[3]", "[0,4]"), 4, {"\"w\"", "takes 6 bytes", "give it 4"});
  expect_bad(one_tensor("F32", "[]", "[0,8]"), 8, {"\"w\"", "takes 4 bytes", "give it 8"});
}

TEST(SafetensorsHostileTest, Offsets) {
  for (const char* offsets : {"[0]", "[0,4,8]", "[]", "{}", "[0,-4]", "[0,4.0]", "4", "[null,4]"}) {
    expect_bad(one_tensor("F32", "[1]", offsets), 4, {"\"w\"", "two whole numbers"});
  }
  for (const char* offsets :
       {"[4,0]", "[0,5]", "[4,8]", "[18446744073709551612,18446744073709551615]",
        "[0,18446744073709551615]", "[18446744073709551615,3]"}) {
    expect_bad(one_tensor("F32", "[1]", offsets), 4, {"\"w\"", "lie outside"});
  }
}

TEST(SafetensorsHostileTest, HolesAndOverlaps) {
  const auto two = [](std::string_view a, std::string_view b) {
    return object({tensor("a", "F32", "[1]", a), tensor("b", "F32", "[1]", b)});
  };
  EXPECT_EQ(parse_safetensors(file_bytes(two("[4,8]", "[0,4]"), 8), "x").tensors[0].name, "b");
  expect_bad(two("[0,4]", "[0,4]"), 4, {"\"b\"", "begins at 0", "ends at 4"});
  expect_bad(two("[0,4]", "[2,6]"), 6, {"\"b\"", "begins at 2", "ends at 4"});
  expect_bad(two("[0,4]", "[8,12]"), 12, {"\"b\"", "begins at 8", "ends at 4"});
  expect_bad(one_tensor("F32", "[1]", "[4,8]"), 8, {"\"w\"", "begins at 4"});
  expect_bad(one_tensor("F32", "[1]", "[0,4]"), 5, {"take 4 bytes", "5 bytes"});
}

TEST(SafetensorsHostileTest, UnknownTypesCannotBeVerified) {
  for (const char* dtype : {"F4", "Q4_0", "f32", "", "\\u001b[31m"}) {
    expect_bad(one_tensor(dtype, "[1]", "[0,4]"), 4, {"\"w\"", "not known", "F32, F16 and BF16"},
               ErrorCode::kUnsupported);
  }
  // A type we know but do not read does not excuse a wrong size.
  expect_bad(one_tensor("I64", "[1]", "[0,4]"), 4, {"\"w\"", "takes 8 bytes"});
  expect_bad(one_tensor("F8_E4M3", "[1]", "[0,4]"), 4, {"\"w\"", "takes 1 bytes"});
}

class SafetensorsFolderTest : public testing::Test {
 protected:
  void write(const std::string& name, std::string_view text) const {
    std::ofstream(folder_ + "/" + name, std::ios::binary) << text;
  }
  void write_tensor(const std::string& file, const std::string& name) const {
    const auto bytes = file_bytes(object({tensor(name, "F32", "[1]", "[0,4]")}), 4);
    write(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  }
  void write_index(std::string_view map) const {
    write("model.safetensors.index.json", fmt::format(R"({{"weight_map": {}}})", map));
  }
  void expect(ErrorCode code, std::vector<std::string> parts) const {
    parts.push_back(folder_);
    expect_error(code, parts, [&] { SafetensorsFolder::open(folder_); });
  }

  const TempFolder temp_;
  const std::string folder_ = temp_.string();
};

TEST_F(SafetensorsFolderTest, SaysWhatIsMissing) {
  expect(ErrorCode::kNotFound, {"neither model.safetensors nor model.safetensors.index.json"});
  expect_error(ErrorCode::kNotFound, {"/absent"},
               [&] { SafetensorsFolder::open(folder_ + "/absent"); });
  write_index(R"({"a": "gone.safetensors"})");
  expect(ErrorCode::kNotFound, {"/gone.safetensors"});
  write("model.safetensors", "");
  expect(ErrorCode::kCorrupt, {"/model.safetensors", "empty"});
}

TEST_F(SafetensorsFolderTest, NamesAFileItMayNotRead) {
  write_tensor("model.safetensors", "a");
  ASSERT_EQ(::chmod((folder_ + "/model.safetensors").c_str(), 0), 0);
  ASSERT_EQ(::chmod(folder_.c_str(), 0755), 0);
  const bool root = ::geteuid() == 0;  // root may read everything
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  expect(ErrorCode::kIo, {"/model.safetensors", "Permission denied"});
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
}

TEST_F(SafetensorsFolderTest, BadIndexes) {
  for (const char* text : {"", "[]", "{}", R"({"weight_map": []})", R"({"weight_map": {}})", "{"}) {
    write("model.safetensors.index.json", text);
    expect(ErrorCode::kCorrupt, {"/model.safetensors.index.json"});
  }
  for (const char* file :
       {"3", "null", "\"\"", "\".\"", "\"..\"", "\"../x.safetensors\"", "\"/etc/passwd\"",
        "\"sub/x.safetensors\"", "\"a\\\\b\"", "\"a\\u0000\""}) {
    write_index(fmt::format(R"({{"w": {}}})", file));
    expect(ErrorCode::kCorrupt, {"weight_map", "\"w\"", "same folder"});
  }
}

TEST_F(SafetensorsFolderTest, IndexAndFilesDisagree) {
  write_tensor("one.safetensors", "a");
  write_tensor("two.safetensors", "a");
  write_index(R"({"a": "one.safetensors"})");
  EXPECT_NE(SafetensorsFolder::open(folder_).find_tensor("a"), nullptr);
  write_index(R"({"a": "one.safetensors", "b": "one.safetensors"})");
  expect(ErrorCode::kCorrupt, {"\"b\"", "\"one.safetensors\"", "not there"});
  write_tensor("two.safetensors", "b");
  write_index(R"({"a": "two.safetensors", "b": "two.safetensors"})");
  expect(ErrorCode::kCorrupt, {"\"a\"", "\"two.safetensors\"", "not there"});
  write_tensor("three.safetensors", "b");
  write_index(R"({"b": "two.safetensors", "a": "one.safetensors"})");
  EXPECT_EQ(SafetensorsFolder::open(folder_).tensors().size(), 2u);
}

TEST_F(SafetensorsFolderTest, ATensorInTwoFiles) {
  const auto both = file_bytes(
      object({tensor("a", "F32", "[1]", "[0,4]"), tensor("b", "F32", "[1]", "[4,8]")}), 8);
  write("one.safetensors", {reinterpret_cast<const char*>(both.data()), both.size()});
  write_tensor("two.safetensors", "b");
  write_index(R"({"a": "one.safetensors", "b": "two.safetensors"})");
  expect(ErrorCode::kCorrupt, {"\"b\"", "two of its files"});
}

TEST_F(SafetensorsFolderTest, PrefersTheSingleFile) {
  write_tensor("model.safetensors", "single");
  write_index(R"({"a": "gone.safetensors"})");
  EXPECT_NE(SafetensorsFolder::open(folder_).find_tensor("single"), nullptr);
}

// A real checkpoint, if the machine has it.
TEST(SafetensorsTest, ReadsACheckpointOfAnotherTool) {
  const std::string folder = shared_path("models/tinystories-656k");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " does not exist";
  const auto checkpoint = SafetensorsFolder::open(folder);
  EXPECT_THAT(checkpoint.find_tensor("lm_head.weight")->shape, ElementsAre(2048, 128));
}

}  // namespace
}  // namespace tidal::test
