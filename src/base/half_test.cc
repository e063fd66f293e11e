#include "base/half.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

namespace tidal::test {
namespace {

// The value of a binary16 number by definition, in double.
double f16_by_definition(uint16_t h) {
  const int exponent = h >> 10 & 31;
  const int fraction = h & 1023;
  const double sign = h & 0x8000 ? -1 : 1;
  if (exponent == 31) return fraction ? std::nan("") : sign * HUGE_VAL;
  if (exponent == 0) return sign * std::ldexp(fraction, -24);
  return sign * std::ldexp(1024 + fraction, exponent - 25);
}

// The nearest value of a 16-bit format, found by comparing its two neighbours: bits_below(x) is the
// pattern of the largest value <= |x|; patterns of one sign are ordered like their values.
template <typename ToDouble>
uint16_t nearest_by_search(float x, uint16_t infinity, double overflow, ToDouble to_double) {
  const uint16_t sign = std::signbit(x) ? 0x8000 : 0;
  const double magnitude = std::fabs(static_cast<double>(x));
  if (magnitude >= overflow) return sign | infinity;
  uint16_t low = 0, high = infinity;  // to_double(low) <= magnitude < to_double(high)
  while (high - low > 1) {
    const auto middle = static_cast<uint16_t>((low + high) / 2);
    (to_double(middle) <= magnitude ? low : high) = middle;
  }
  if (high == infinity) return sign | low;  // below the overflow threshold
  const double below = magnitude - to_double(low), above = to_double(high) - magnitude;
  const bool up = above < below || (above == below && (low & 1));
  return sign | (up ? high : low);
}

uint16_t f16_by_search(float x) { return nearest_by_search(x, 0x7c00, 65520.0, f16_by_definition); }

uint16_t bf16_by_search(float x) {
  // Halfway between the largest bf16 and 2^128.
  return nearest_by_search(x, 0x7f80, std::ldexp(511.0, 119), [](uint16_t h) {
    return static_cast<double>(std::bit_cast<float>(uint32_t{h} << 16));
  });
}

TEST(HalfTest, EveryF16DecodesByDefinitionAndComesBack) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto bits = static_cast<uint16_t>(h);
    const float value = f16_to_float(bits);
    const double expected = f16_by_definition(bits);
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(value)) << h;
      ASSERT_TRUE(std::isnan(f16_to_float(float_to_f16(value)))) << h;
      continue;
    }
    ASSERT_EQ(static_cast<double>(value), expected) << h;
    ASSERT_EQ(std::signbit(value), (h & 0x8000) != 0) << h;
    ASSERT_EQ(float_to_f16(value), bits);
  }
}

TEST(HalfTest, EveryBf16DecodesToItsUpperBitsAndComesBack) {
  for (uint32_t h = 0; h < 0x10000; ++h) {
    const auto bits = static_cast<uint16_t>(h);
    const float value = bf16_to_float(bits);
    ASSERT_EQ(std::bit_cast<uint32_t>(value), h << 16);
    if (std::isnan(value)) {
      ASSERT_TRUE(std::isnan(bf16_to_float(float_to_bf16(value)))) << h;
    } else {
      ASSERT_EQ(float_to_bf16(value), bits);
    }
  }
}

// Around every f16 value: the value itself, the tie with the next one, and a float next to the tie
// on either side.
TEST(HalfTest, F16RoundsTiesToEven) {
  for (uint32_t h = 0; h < 0x7bff; ++h) {
    const float low = f16_to_float(static_cast<uint16_t>(h));
    const float high = f16_to_float(static_cast<uint16_t>(h + 1));
    const float tie = (low + high) / 2;  // exact in float
    for (const float sign : {1.0f, -1.0f}) {
      const uint16_t s = sign < 0 ? 0x8000 : 0;
      ASSERT_EQ(float_to_f16(sign * tie), s | (h & 1 ? h + 1 : h)) << tie;
      ASSERT_EQ(float_to_f16(sign * std::nextafter(tie, 0.0f)), s | h) << tie;
      ASSERT_EQ(float_to_f16(sign * std::nextafter(tie, HUGE_VALF)), s | (h + 1)) << tie;
    }
  }
}

TEST(HalfTest, OverflowInfinityAndNan) {
  const float inf = std::numeric_limits<float>::infinity();
  EXPECT_EQ(float_to_f16(65504.0f), 0x7bff);
  EXPECT_EQ(float_to_f16(std::nextafter(65520.0f, 0.0f)), 0x7bff);
  EXPECT_EQ(float_to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(float_to_f16(-3e38f), 0xfc00);
  EXPECT_EQ(float_to_f16(inf), 0x7c00);
  EXPECT_EQ(float_to_f16(-inf), 0xfc00);
  EXPECT_EQ(float_to_bf16(inf), 0x7f80);
  EXPECT_EQ(float_to_bf16(-inf), 0xff80);
  EXPECT_EQ(float_to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(float_to_f16(std::numeric_limits<float>::denorm_min()), 0);
  EXPECT_EQ(float_to_f16(-0.0f), 0x8000);
  // NaNs, including those whose payload lies only in the bits that are cut off.
  for (const uint32_t bits : {0x7fc00000u, 0x7f800001u, 0xff800001u, 0x7fffffffu, 0xffffffffu}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(f16_to_float(float_to_f16(nan)))) << bits;
    EXPECT_TRUE(std::isnan(bf16_to_float(float_to_bf16(nan)))) << bits;
  }
}

TEST(HalfTest, RandomFloatsRoundToTheNearest) {
  std::mt19937 random(1);
  for (int i = 0; i < 200000; ++i) {
    // Every second one in the range of f16, which few random bit patterns hit.
    uint32_t bits = random();
    if (i % 2) bits = (bits & 0x80ffffffu) | (100 + random() % 45) << 23;
    const float x = std::bit_cast<float>(bits);
    if (std::isnan(x)) continue;
    ASSERT_EQ(float_to_f16(x), f16_by_search(x)) << x;
    ASSERT_EQ(float_to_bf16(x), bf16_by_search(x)) << x;
  }
}

}  // namespace
}  // namespace tidal::test
