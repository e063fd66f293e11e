// A rope factor in a GGUF file without a type of scaling was ignored: wrong positions, silently.
// llama.cpp, whose format it is, takes linear for the type where none is given.
#include <gtest/gtest.h>

#include "model/tiny_gguf_test_util.h"

namespace tidal::test {
namespace {

TEST(GgufRopeFactorWithoutType, IsLinear) {
  TinyGguf file;
  file.floats["rope.scaling.factor"] = 4;
  const RopeConfig rope = file.load().rope;
  EXPECT_EQ(rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(rope.factor, 4);
}

TEST(GgufRopeFactorWithoutType, TheOlderKeyToo) {
  TinyGguf file;
  file.floats["rope.scale_linear"] = 2;
  EXPECT_EQ(file.load().rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(file.load().rope.factor, 2);
  file.floats["rope.scaling.factor"] = 4;  // comes first where both are there
  EXPECT_EQ(file.load().rope.factor, 4);
}

TEST(GgufRopeFactorWithoutType, NoneStaysNone) {
  TinyGguf file;
  EXPECT_EQ(file.load().rope.scaling, RopeScaling::kNone);
  for (const float nothing : {0.0f, 1.0f}) {
    file.floats["rope.scaling.factor"] = nothing;
    EXPECT_EQ(file.load().rope.scaling, RopeScaling::kNone);
  }
  file.strings["rope.scaling.type"] = "none";
  file.floats["rope.scaling.factor"] = 4;
  EXPECT_EQ(file.load().rope.scaling, RopeScaling::kNone);
}

}  // namespace
}  // namespace tidal::test
