#include "base/utf8.h"

#include <gtest/gtest.h>

namespace tidal::test {
namespace {

using Kind = Utf8Step::Kind;

TEST(Utf8, ReadsEveryCharacterItWrites) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    std::string text;
    append_utf8(c, &text);
    const Utf8Step step = read_utf8(text, 0);
    if (c >= 0xD800 && c <= 0xDFFF) {
      EXPECT_EQ(step.kind, Kind::kMalformed);
      continue;
    }
    ASSERT_EQ(step.kind, Kind::kCharacter) << uint32_t{c};
    ASSERT_EQ(step.code_point, c);
    ASSERT_EQ(step.length, text.size());
    if (text.size() > 1) {
      text.pop_back();
      ASSERT_EQ(read_utf8(text, 0).kind, Kind::kTruncated);
    }
  }
}

TEST(Utf8, RefusesWhatIsNone) {
  for (const std::string_view text :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80", "\xF0\x8F\xBF\xBF",
        "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "\xC3(", "\xE4\xB8("}) {
    EXPECT_EQ(read_utf8(text, 0).kind, Kind::kMalformed);
    EXPECT_EQ(valid_utf8_length(text, 0), 0u);
  }
  EXPECT_EQ(read_utf8("\xE4\xB8(", 0).length, 2);
  EXPECT_EQ(valid_utf8_length("a\xC3\xA9\xFF", 0), 3u);
}

}  // namespace
}  // namespace tidal::test
