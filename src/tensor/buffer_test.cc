#include "tensor/buffer.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <utility>

#include "tidal/error.h"

namespace tidal::test {
namespace {

TEST(BufferTest, IsZeroedAlignedAndMovable) {
  Buffer buffer(1000);
  EXPECT_EQ(buffer.size(), 1000u);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(buffer.data()) % 64, 0u);
  for (const std::byte b : buffer.span<std::byte>()) ASSERT_EQ(b, std::byte{0});
  buffer.as<float>()[7] = 1.5f;
  Buffer other = std::move(buffer);
  EXPECT_EQ(other.span<float>()[7], 1.5f);
  EXPECT_EQ(other.span<float>().size(), 250u);
  EXPECT_EQ(buffer.data(), nullptr);
  other = Buffer(16);
  EXPECT_EQ(other.size(), 16u);
}

TEST(BufferTest, EmptyHasNoMemory) {
  EXPECT_EQ(Buffer(0).data(), nullptr);
  EXPECT_EQ(Buffer().size(), 0u);
}

TEST(BufferTest, MoreThanTheAddressSpaceIsAnError) {
  try {
    Buffer buffer(size_t{1} << 62);
    FAIL() << "got 2^62 bytes";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kExhausted);
  }
}

}  // namespace
}  // namespace tidal::test
