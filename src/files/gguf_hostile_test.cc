// Malformed files: each class must end in an Error naming file and field, without reading out of
// bounds (the sanitizer build watches) and without allocating what the file claims.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "files/gguf.h"
#include "files/gguf_writer_test_util.h"
#include "testing/error.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

using Writer = GgufTestWriter;

constexpr uint64_t kHuge[] = {uint64_t{1} << 32,       uint64_t{1} << 61,   uint64_t{1} << 62,
                              (uint64_t{1} << 63) - 1, uint64_t{1} << 63,   UINT64_MAX - 7,
                              UINT64_MAX - 8,          0x5555555555555556u, UINT64_MAX};

void expect_corrupt(const Writer& writer, std::vector<std::string> parts) {
  parts.push_back("test.gguf");
  expect_error(ErrorCode::kCorrupt, parts, [&] { writer.parse(); });
}

void expect_unsupported(const Writer& writer, std::vector<std::string> parts) {
  parts.push_back("test.gguf");
  expect_error(ErrorCode::kUnsupported, parts, [&] { writer.parse(); });
}

// A file with one tensor and enough data for 32 floats.
Writer with_tensor(const std::vector<uint64_t>& dimensions, uint32_t type, uint64_t offset) {
  return Writer(1, 0).tensor("w", dimensions, type, offset).align().zeros(128);
}

TEST(GgufHostileTest, TheBaseOfTheseTestsIsFine) {
  EXPECT_EQ(with_tensor({32}, 0, 0).parse().tensors().size(), 1u);
  EXPECT_EQ(with_tensor({4, 4, 2, 1}, 0, 0).parse().tensors().size(), 1u);
}

TEST(GgufHostileTest, HeaderIsNotGguf) {
  Writer not_magic(0, 0);
  not_magic.bytes()[3] = std::byte{'f'};
  expect_corrupt(not_magic, {"not a GGUF file"});
  expect_error(ErrorCode::kCorrupt, {"x.gguf", "empty"}, [] { GgufFile::parse({}, "x.gguf"); });
  Writer(0, 0).parse();
  for (const uint32_t version : {0u, 1u, 4u, 0xffffffffu}) {
    expect_unsupported(Writer(0, 0, version), {"version " + std::to_string(version), "2 and 3"});
  }
  expect_unsupported(Writer(0, 0, 0x03000000), {"big-endian"});
  expect_unsupported(Writer(0, 0, 0x02000000), {"big-endian"});
}

TEST(GgufHostileTest, HugeCounts) {
  for (const uint64_t n : kHuge) {
    expect_corrupt(Writer(n, 0), {"tensor count", std::to_string(n)});
    expect_corrupt(Writer(0, n), {"metadata count", std::to_string(n)});
  }
  expect_corrupt(Writer(1000, 0), {"tensor count 1000", "cannot fit"});
  expect_corrupt(Writer(0, 1000), {"metadata count 1000", "cannot fit"});
  // Plausible for the size of the file, but missing.
  expect_corrupt(Writer(0, 2).entry("a", std::string(100, 'x')), {"metadata key number 2", "key"});
}

TEST(GgufHostileTest, HugeStrings) {
  for (const uint64_t n : kHuge) {
    expect_corrupt(Writer(0, 1).put(n).zeros(64), {"metadata key number 1", "key"});
    expect_corrupt(Writer(0, 1).key("k", GgufType::kString).put(n).zeros(64), {"\"k\"", "string"});
    expect_corrupt(Writer(1, 0).put(n).zeros(64), {"tensor number 1", "name"});
    expect_corrupt(Writer(0, 1).array("k", GgufType::kString, 2).string("a").put(n).zeros(9),
                   {"\"k\"", "string"});
  }
  const std::string long_name(65536, 'k');
  expect_corrupt(Writer(0, 1).entry(long_name, GgufType::kUint8, uint8_t{1}), {"65536", "65535"});
  expect_corrupt(Writer(1, 0).tensor(long_name, {1}, 0, 0).align().zeros(4), {"65536", "65535"});
  expect_corrupt(Writer(0, 1).entry("", GgufType::kUint32, 1u), {"key", "0 bytes"});
  expect_corrupt(Writer(1, 0).tensor("", {1}, 0, 0).align().zeros(4), {"name", "0 bytes"});
}

TEST(GgufHostileTest, HugeArrays) {
  for (uint32_t type = 0; type <= 12; ++type) {
    if (static_cast<GgufType>(type) == GgufType::kArray) continue;
    for (const uint64_t n : kHuge) {
      expect_corrupt(Writer(0, 1).array("k", static_cast<GgufType>(type), n).zeros(64), {"\"k\""});
    }
    // One more than there is.
    expect_corrupt(Writer(0, 1).array("k", static_cast<GgufType>(type), 65).zeros(64), {"\"k\""});
  }
}

TEST(GgufHostileTest, NestedArrays) {
  Writer writer(0, 1);
  writer.array("k", GgufType::kArray, 1);
  for (int depth = 0; depth < 100000; ++depth) writer.put(uint32_t{9}).put(uint64_t{1});
  expect_unsupported(writer, {"\"k\"", "array of arrays"});
}

TEST(GgufHostileTest, WrongTypesOfValues) {
  for (const uint32_t type : {13u, 255u, 0xffffffffu}) {
    expect_corrupt(Writer(0, 1).entry("k", static_cast<GgufType>(type), uint64_t{0}),
                   {"\"k\"", "value type", std::to_string(type)});
    expect_corrupt(Writer(0, 1).array("k", static_cast<GgufType>(type), 1).zeros(64),
                   {"\"k\"", "element type", std::to_string(type)});
  }
  expect_corrupt(Writer(0, 1).entry("k", GgufType::kBool, uint8_t{2}), {"\"k\"", "boolean is 2"});
  expect_corrupt(Writer(0, 1).array("k", GgufType::kBool, 2).put(uint8_t{1}).put(uint8_t{255}),
                 {"\"k\"", "boolean is 255"});
}

TEST(GgufHostileTest, Alignment) {
  for (const uint32_t n : {0u, 1u, 3u, 4u, 33u, 48u, 1u << 21, 1u << 31, 0xffffffffu}) {
    expect_corrupt(Writer(0, 1).entry("general.alignment", GgufType::kUint32, n),
                   {"general.alignment", std::to_string(n)});
  }
  for (const uint64_t n : kHuge) {
    expect_corrupt(Writer(0, 1).entry("general.alignment", GgufType::kUint64, n),
                   {"general.alignment"});
  }
  expect_corrupt(Writer(0, 1).entry("general.alignment", GgufType::kInt32, int32_t{-32}),
                 {"general.alignment", "-32"});
  expect_corrupt(Writer(0, 1).entry("general.alignment", "32"), {"general.alignment", "string"});
  // Allowed, but then the data would begin past the end.
  expect_corrupt(Writer(1, 1)
                     .entry("general.alignment", GgufType::kUint32, 1u << 20)
                     .tensor("w", {1}, 0, 0)
                     .align()
                     .zeros(64),
                 {"\"w\"", "end past"});
}

TEST(GgufHostileTest, ElementCountsThatWrap) {
  const std::vector<std::vector<uint64_t>> shapes = {
      {uint64_t{1} << 32, uint64_t{1} << 32},  // 2^64, 0 when it wraps
      {uint64_t{1} << 32, uint64_t{1} << 31},  // 2^63
      {uint64_t{1} << 62, 4},                  // 2^64
      {uint64_t{1} << 62, 8, 1, 1},            // 2^65
      {0x5555555555555556u, 3},                // 2 when it wraps
      {65536, 65536, 65536, 65536},            // 2^64
      {32, (uint64_t{1} << 59) + 1},           // 32 when it wraps
  };
  for (const auto& shape : shapes) {
    for (const uint32_t type : {0u, 1u, 2u, 8u, 12u}) {
      expect_corrupt(with_tensor(shape, type, 0), {"\"w\""});
    }
  }
}

TEST(GgufHostileTest, ByteSizesThatWrap) {
  // The elements can be counted in 64 bits, their bytes cannot.
  expect_corrupt(with_tensor({uint64_t{1} << 62}, 0, 0), {"\"w\"", "larger than any file"});
  expect_corrupt(with_tensor({(uint64_t{1} << 62) + 8}, 0, 0), {"\"w\"", "larger than any file"});
  expect_corrupt(with_tensor({uint64_t{1} << 62}, 8, 0), {"\"w\""});
  // Bytes that fit 64 bits, but not the file; and an end that wraps.
  expect_corrupt(with_tensor({uint64_t{1} << 61}, 0, 0), {"\"w\"", "past the file"});
  expect_corrupt(with_tensor({(uint64_t{1} << 62) - 16}, 0, 128), {"\"w\"", "past the file"});
}

TEST(GgufHostileTest, TensorsPastTheEnd) {
  expect_corrupt(with_tensor({33}, 0, 0), {"\"w\"", "132 bytes", "past the file"});
  expect_corrupt(with_tensor({32}, 0, 32), {"\"w\"", "offset 32", "past the file"});
  expect_corrupt(with_tensor({1}, 0, 128), {"\"w\"", "offset 128"});
  for (const uint64_t offset : {uint64_t{1} << 32, uint64_t{1} << 63, UINT64_MAX - 31}) {
    expect_corrupt(with_tensor({8}, 0, offset), {"\"w\"", "offset " + std::to_string(offset)});
  }
  for (const uint64_t offset : {1u, 8u, 31u, 33u}) {
    expect_corrupt(with_tensor({8}, 0, offset), {"\"w\"", "multiple of the alignment"});
  }
}

TEST(GgufHostileTest, Dimensions) {
  expect_corrupt(with_tensor({1, 1, 1, 1, 1}, 0, 0), {"\"w\"", "5 dimensions", "at most 4"});
  expect_corrupt(Writer(1, 0).string("w").put(0xffffffffu).zeros(64), {"4294967295 dimensions"});
  expect_corrupt(with_tensor({0}, 0, 0), {"\"w\"", "dimension 0 is 0"});
  expect_corrupt(with_tensor({4, 0}, 0, 0), {"\"w\"", "dimension 1 is 0"});
  expect_corrupt(with_tensor({uint64_t{1} << 63}, 0, 0), {"\"w\"", "dimension 0"});
  expect_corrupt(with_tensor({UINT64_MAX, UINT64_MAX}, 0, 0), {"\"w\"", "dimension 0"});
  expect_corrupt(with_tensor({31}, 2, 0), {"\"w\"", "31", "Q4_0 blocks of 32"});
  expect_corrupt(with_tensor({16, 2}, 2, 0), {"\"w\"", "16", "Q4_0 blocks of 32"});
  expect_corrupt(with_tensor({32}, 12, 0), {"\"w\"", "Q4_K blocks of 256"});
}

TEST(GgufHostileTest, TypesThatAreNotSupported) {
  expect_unsupported(with_tensor({256}, 16, 0), {"\"w\"", "IQ2_XXS", "16", "Q4_K, Q5_K, Q6_K"});
  expect_unsupported(with_tensor({256}, 39, 0), {"\"w\"", "MXFP4"});
  expect_unsupported(with_tensor({1}, 27, 0), {"\"w\"", "I64"});
  for (const uint32_t type : {36u, 1000u, 0xffffffffu}) {
    expect_unsupported(with_tensor({1}, type, 0),
                       {"\"w\"", "unknown GGML type " + std::to_string(type)});
  }
}

TEST(GgufHostileTest, Duplicates) {
  expect_corrupt(Writer(0, 3)
                     .entry("twin", GgufType::kUint8, uint8_t{1})
                     .entry("other", GgufType::kUint8, uint8_t{2})
                     .entry("twin", GgufType::kUint8, uint8_t{3}),
                 {"key \"twin\" appears twice"});
  expect_corrupt(Writer(3, 0)
                     .tensor("twin", {1}, 0, 0)
                     .tensor("other", {1}, 0, 0)
                     .tensor("twin", {1}, 0, 0)
                     .align()
                     .zeros(32),
                 {"tensor \"twin\" appears twice"});
}

TEST(GgufHostileTest, PartsOfAModel) {
  expect_unsupported(Writer(0, 1).entry("split.count", GgufType::kUint16, uint16_t{3}),
                     {"split.count", "3 parts", "merge"});
  Writer(0, 1).entry("split.count", GgufType::kUint16, uint16_t{1}).parse();
}

TEST(GgufHostileTest, NamesThatWouldSpoilATerminal) {
  for (const auto& [name, shown] :
       std::vector<std::pair<std::string, std::string>>{{"\x1b]0;x\x07\n", "\\x1b]0;x\\x07\\n"},
                                                        {"caf\xc3\xa9", "caf\xc3\xa9"},
                                                        {"\xff", "\\xff"},
                                                        {std::string("a\0b", 3), "a\\x00b"}}) {
    expect_corrupt(Writer(1, 0).tensor(name, {1}, 0, 0).align().zeros(32), {shown, "name"});
    expect_corrupt(Writer(0, 1).entry(name, GgufType::kUint32, 1u), {shown, "key"});
  }
}

// A complete file with one of everything, truncated anywhere, with any one byte changed.
Writer complete_file() {
  return Writer(2, 5)
      .entry("general.architecture", "llama")
      .entry("n", GgufType::kUint64, uint64_t{7})
      .array("strings", GgufType::kString, 2)
      .string("one")
      .string("two")
      .array("floats", GgufType::kFloat32, 2)
      .put(1.0f)
      .put(2.0f)
      .entry("flag", GgufType::kBool, uint8_t{1})
      .tensor("a", {32, 2}, 8, 0)
      .tensor("b", {4}, 0, 96)
      .align()
      .zeros(96 + 16);
}

void read_everything(const GgufFile& file) {
  for (const GgufLine& line : file.describe()) EXPECT_FALSE(line.type.empty());
  for (const TensorInfo& tensor : file.tensors()) {
    const auto count = element_count(tensor.shape);
    ASSERT_TRUE(count.has_value());
    std::vector<float> values(static_cast<size_t>(*count));
    decode_row(tensor.dtype, tensor.data, values.data(), *count);
  }
}

TEST(GgufHostileTest, TruncatedAnywhere) {
  const std::vector<std::byte> whole = complete_file().bytes();
  read_everything(GgufFile::parse(whole, "whole"));
  for (size_t n = 0; n < whole.size(); ++n) {
    // A separate allocation, so that a read past the end is detected.
    const std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<ptrdiff_t>(n));
    expect_error(ErrorCode::kCorrupt, {"cut.gguf"}, [&] { GgufFile::parse(part, "cut.gguf"); });
  }
}

TEST(GgufHostileTest, AnyByteChanged) {
  const std::vector<std::byte> whole = complete_file().bytes();
  for (size_t i = 0; i < whole.size(); ++i) {
    for (const int value : {0, 1, 0x7f, 0x80, 0xff}) {
      std::vector<std::byte> changed = whole;
      changed[i] = static_cast<std::byte>(value);
      try {
        read_everything(GgufFile::parse(changed, "changed.gguf"));
      } catch (const Error& error) {
        EXPECT_NE(std::string(error.what()).find("changed.gguf"), std::string::npos);
      }
    }
  }
}

// Everything above in an address space of a few hundred MB: claims of many GB allocate nothing.
// (Sanitizers reserve terabytes, so they cannot run under such a limit.)
TEST(GgufHostileTest, LiesTakeNoMemory) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  GTEST_SKIP() << "sanitizers need the address space";
#endif
  rlimit before{};
  ASSERT_EQ(::getrlimit(RLIMIT_AS, &before), 0);
  rlimit tight = before;
  tight.rlim_cur = size_t{512} << 20;
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &tight), 0);
  for (const uint64_t n : {uint64_t{1} << 28, uint64_t{1} << 32, uint64_t{1} << 40}) {
    expect_corrupt(Writer(n, 0).zeros(64), {"tensor count"});
    expect_corrupt(Writer(0, n).zeros(64), {"metadata count"});
    expect_corrupt(Writer(0, 1).array("k", GgufType::kString, n).zeros(64), {"\"k\""});
    expect_corrupt(Writer(0, 1).array("k", GgufType::kUint8, n).zeros(64), {"\"k\""});
    expect_corrupt(Writer(0, 1).key("k", GgufType::kString).put(n).zeros(64), {"\"k\""});
    expect_corrupt(with_tensor({n}, 0, 0), {"\"w\""});
  }
  ASSERT_EQ(::setrlimit(RLIMIT_AS, &before), 0);
}

class GgufPathTest : public testing::Test {
 protected:
  const TempFolder temp_;
  const std::string folder_ = temp_.string();
};

TEST_F(GgufPathTest, EachNamesThePath) {
  const auto expect = [&](ErrorCode code, const std::string& path, const std::string& part) {
    expect_error(code, {path, part}, [&] { GgufFile::open(path); });
  };
  expect(ErrorCode::kNotFound, folder_ + "/absent.gguf", "No such file");
  expect(ErrorCode::kIo, folder_, "not a regular file");
  std::ofstream(folder_ + "/empty.gguf") << "";
  expect(ErrorCode::kCorrupt, folder_ + "/empty.gguf", "empty");
  std::ofstream(folder_ + "/text.gguf") << "hello, this is not a model";
  expect(ErrorCode::kCorrupt, folder_ + "/text.gguf", "not a GGUF file");

  const std::string locked = folder_ + "/locked.gguf";
  std::ofstream(locked) << "GGUF";
  ASSERT_EQ(::chmod(locked.c_str(), 0), 0);
  const bool root = ::geteuid() == 0;  // root may read everything
  if (root) {
    ASSERT_EQ(::seteuid(65534), 0);
  }
  expect(ErrorCode::kIo, locked, "Permission denied");
  if (root) {
    ASSERT_EQ(::seteuid(0), 0);
  }
}

}  // namespace
}  // namespace tidal::test
