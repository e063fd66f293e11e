#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <fstream>
#include <iterator>
#include <random>
#include <string>
#include <vector>

#include "tensor/formats/iq4_nl.h"
#include "tensor/formats/k_scales.h"
#include "tensor/formats/q4_k.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

// tests/data/formats/NAME.bin, described in tests/fixtures/make_format_fixtures.py.
class Fixture {
 public:
  explicit Fixture(DType type) {
    const std::string path = data_path("formats/") + std::string(dtype_name(type)) + ".bin";
    std::ifstream file(path, std::ios::binary);
    EXPECT_TRUE(file.good()) << path;
    rest_.assign(std::istreambuf_iterator<char>(file), {});
    decode_blocks = take(dtype_row_bytes(type, decode_count = take_count()));
    decode_values = take_floats(decode_count);
    encode_values = take_floats(encode_count = take_count());
    encode_blocks = take(dtype_row_bytes(type, encode_count));
    EXPECT_TRUE(rest_.empty());
  }

  int decode_count, encode_count;
  std::string decode_blocks, encode_blocks;
  std::vector<float> decode_values, encode_values;

 private:
  std::string take(size_t n) {
    EXPECT_LE(n, rest_.size());
    std::string head = rest_.substr(0, n);
    rest_.erase(0, n);
    return head;
  }
  int take_count() {
    int n = 0;
    std::memcpy(&n, take(4).data(), 4);
    return n;
  }
  std::vector<float> take_floats(int n) {
    const std::string bytes = take(4 * static_cast<size_t>(n));
    std::vector<float> out(n);
    if (n > 0) std::memcpy(out.data(), bytes.data(), bytes.size());
    return out;
  }
  std::string rest_;
};

const std::byte* bytes_of(const std::string& s) {
  return reinterpret_cast<const std::byte*>(s.data());
}

class FormatTest : public testing::TestWithParam<DType> {};

TEST_P(FormatTest, DecodesToTheBitLikeThePythonPackage) {
  const Fixture fixture(GetParam());
  ASSERT_GT(fixture.decode_count, 0);
  // From an odd address: files guarantee no alignment.
  const std::string shifted = "x" + fixture.decode_blocks;
  std::vector<float> out(fixture.decode_count);
  decode_row(GetParam(), bytes_of(shifted) + 1, out.data(), fixture.decode_count);
  for (int i = 0; i < fixture.decode_count; ++i) {
    ASSERT_EQ(std::bit_cast<uint32_t>(out[i]), std::bit_cast<uint32_t>(fixture.decode_values[i]))
        << "element " << i << ": " << out[i] << " instead of " << fixture.decode_values[i];
  }
}

TEST_P(FormatTest, EncodesToTheBitLikeThePythonPackage) {
  const Fixture fixture(GetParam());
  const bool gguf_quantizes =
      dtype_info(GetParam()).block_size < 256 && GetParam() != DType::kIQ4_NL;
  ASSERT_EQ(fixture.encode_count > 0, gguf_quantizes);
  std::string out(fixture.encode_blocks.size(), '\0');
  encode_row(GetParam(), fixture.encode_values.data(), reinterpret_cast<std::byte*>(out.data()),
             fixture.encode_count);
  const int block_bytes = dtype_info(GetParam()).block_bytes;
  for (size_t i = 0; i < out.size(); ++i) {
    ASSERT_EQ(static_cast<uint8_t>(out[i]), static_cast<uint8_t>(fixture.encode_blocks[i]))
        << "byte " << i % block_bytes << " of block " << i / block_bytes;
  }
}

// The error of one rounding relative to the step of each format, for values of one scale.
double tolerance(DType type) {
  switch (type) {
    case DType::kF32:
      return 0;
    case DType::kF16:
      return 1e-3;
    case DType::kBF16:
      return 8e-3;
    case DType::kQ4_0:
    case DType::kQ4_1:
    case DType::kQ4_K:
    case DType::kIQ4_NL:
      return 0.30;
    case DType::kQ5_0:
    case DType::kQ5_1:
    case DType::kQ5_K:
      return 0.15;
    case DType::kQ6_K:
      return 0.08;
    case DType::kQ8_0:
      return 0.02;
  }
  return 0;
}

TEST_P(FormatTest, EncodedValuesComeBackWithinOneStep) {
  constexpr int kCount = 4096;
  std::mt19937 random(7);
  std::uniform_real_distribution<float> uniform(-2, 2);
  std::vector<float> in(kCount), out(kCount);
  for (float& x : in) x = uniform(random);
  std::vector<std::byte> blocks(dtype_row_bytes(GetParam(), kCount));
  encode_row(GetParam(), in.data(), blocks.data(), kCount);
  decode_row(GetParam(), blocks.data(), out.data(), kCount);
  for (int i = 0; i < kCount; ++i) ASSERT_NEAR(out[i], in[i], tolerance(GetParam())) << i;
}

// A value no block can hold spoils at most its own block, and the same one every time.
TEST_P(FormatTest, EncodesAnyInputToFiniteIndices) {
  const int n = 512;
  const int block_size = static_cast<int>(dtype_info(GetParam()).block_size);
  const float nan = std::nanf(""), inf = HUGE_VALF;
  for (const float special : {nan, inf, -inf, 1e-45f, 3e38f, -3e38f, 0.0f}) {
    std::vector<float> in(n, 0.0f), out(n, nan);
    in[3] = special;
    in[200] = -special;
    std::vector<std::byte> blocks(dtype_row_bytes(GetParam(), n)),
        again(blocks.size(), std::byte{1});
    encode_row(GetParam(), in.data(), blocks.data(), n);
    encode_row(GetParam(), in.data(), again.data(), n);
    EXPECT_EQ(blocks, again) << special;
    decode_row(GetParam(), blocks.data(), out.data(), n);
    for (int i = 0; i < n; ++i) {
      const int block = i / block_size;
      const bool is_spoilt = block == 3 / block_size || block == 200 / block_size;
      if (is_spoilt && !(std::abs(special) < 1)) continue;
      EXPECT_NEAR(out[i], 0, 1e-44) << special << " " << i;
    }
  }
}

TEST_P(FormatTest, IsFoundByNumberAndName) {
  const DTypeInfo& info = dtype_info(GetParam());
  EXPECT_EQ(dtype_from_ggml(info.ggml_type), GetParam());
  EXPECT_EQ(dtype_from_name(info.name), GetParam());
  std::string lower(info.name);
  for (char& c : lower) c = static_cast<char>(std::tolower(c));
  EXPECT_EQ(dtype_from_name(lower), GetParam());
  EXPECT_EQ(dtype_row_bytes(GetParam(), 512),
            static_cast<size_t>(512 / info.block_size * info.block_bytes));
}

std::vector<DType> every_type() {
  std::vector<DType> types;
  for (size_t i = 0; i < all_dtypes().size(); ++i) types.push_back(static_cast<DType>(i));
  return types;
}

INSTANTIATE_TEST_SUITE_P(All, FormatTest, testing::ValuesIn(every_type()),
                         [](const auto& test) { return std::string(dtype_name(test.param)); });

TEST(DTypeTest, KnowsWhatItDoesNotKnow) {
  for (const uint32_t type : {4u, 5u, 9u, 10u, 16u, 31u, 39u, 1000u, 0xffffffffu}) {
    EXPECT_EQ(dtype_from_ggml(type), std::nullopt) << type;
  }
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
  EXPECT_EQ(dtype_from_name("Q4"), std::nullopt);
  EXPECT_EQ(dtype_from_name("Q4_00"), std::nullopt);
}

TEST(DTypeDeathTest, RefusesPartsOfABlock) {
  std::vector<std::byte> blocks(64);
  std::vector<float> out(64);
  EXPECT_DEATH(decode_row(DType::kQ4_0, blocks.data(), out.data(), 31), "not whole blocks of Q4_0");
  EXPECT_DEATH(encode_row(DType::kQ4_0, out.data(), blocks.data(), 33), "not whole blocks of Q4_0");
}

TEST(KScalesTest, PackingIsTheInverseOfUnpacking) {
  std::mt19937 random(3);
  for (int round = 0; round < 100; ++round) {
    uint8_t packed[12], again[12];
    for (uint8_t& byte : packed) byte = static_cast<uint8_t>(random());
    pack_k_scales(unpack_k_scales(packed), again);
    ASSERT_EQ(std::memcmp(packed, again, sizeof(packed)), 0);
  }
}

// A block whose values are the format's levels is preserved, and values move to the nearest level.
TEST(Iq4NlTest, RoundsToTheNearestLevel) {
  std::vector<float> levels(32), moved(32), out(32);
  for (int i = 0; i < 32; ++i) {
    levels[i] = 0.5f * static_cast<float>(kIq4Levels[i % 16]);
    moved[i] = levels[i] + (i % 16 == 0 ? 0.0f
                            : i < 16    ? 2.7f
                                        : -2.7f);  // neighbours are 5.5 apart
  }
  BlockIQ4_NL block;
  for (const std::vector<float>& in : {levels, moved}) {
    encode_block(in.data(), &block);
    decode_block(block, out.data());
    EXPECT_EQ(out, levels);
  }
}

// A block whose values lie on the format's grid is preserved.
TEST(KScalesTest, ExactValuesStayExact) {
  std::vector<float> in(256), out(256);
  for (int i = 0; i < 256; ++i) in[i] = static_cast<float>(i % 16) * 63.0f - 4 * 63.0f;
  BlockQ4_K block;
  encode_block(in.data(), &block);
  decode_block(block, out.data());
  EXPECT_EQ(in, out);
}

}  // namespace
}  // namespace tidal::test
