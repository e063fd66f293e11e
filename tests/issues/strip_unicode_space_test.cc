// A token that swallows the space on its sides swallows all of Unicode's White_Space.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer.h"

namespace tidal::test {
namespace {

using ::testing::ElementsAre;

// Bytes (the ids are the bytes), then <gap>, which strips on both sides.
Tokenizer tokenizer() {
  TokenizerData data;
  data.model = "gpt2";
  data.pre = "gpt-2";
  for (const char32_t c : byte_alphabet()) append_utf8(c, &data.tokens.emplace_back());
  data.types.assign(256, static_cast<int32_t>(TokenType::kNormal));
  data.tokens.push_back("<gap>");
  data.types.push_back(static_cast<int32_t>(TokenType::kUserDefined));
  data.strip_left = data.strip_right = {256};
  return Tokenizer::create(std::move(data));
}

TEST(StripUnicodeSpace, EverySpaceOfUnicodeIsSwallowed) {
  const Tokenizer t = tokenizer();
  EXPECT_THAT(t.encode("a\u00A0<gap>\u3000b", false, false), ElementsAre('a', 256, 'b'));
  for (const char32_t space :
       {0x09,   0x0A,   0x0B,   0x0C,   0x0D,   0x20,   0x85,   0xA0,   0x1680,
        0x2000, 0x2001, 0x2002, 0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008,
        0x2009, 0x200A, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000}) {
    std::string spaces = " ";
    append_utf8(space, &spaces);
    append_utf8(space, &spaces);
    EXPECT_THAT(t.encode("a" + spaces + "<gap>" + spaces + "b", false, false),
                ElementsAre('a', 256, 'b'))
        << static_cast<uint32_t>(space);
  }
}

TEST(StripUnicodeSpace, NothingElseIs) {
  const Tokenizer t = tokenizer();
  // A zero-width space, an information separator (Python's space, not Unicode's), half of U+00A0,
  // and bytes that end as a space does.
  EXPECT_THAT(t.encode("\u200B<gap>\u200B", false, false),
              ElementsAre(0xE2, 0x80, 0x8B, 256, 0xE2, 0x80, 0x8B));
  EXPECT_THAT(t.encode("\x1C<gap>\x1C", false, false), ElementsAre(0x1C, 256, 0x1C));
  EXPECT_THAT(t.encode("\xA0<gap>\xC2", false, false), ElementsAre(0xA0, 256, 0xC2));
  EXPECT_THAT(t.encode("\xE4\x80\x80<gap>\xA0", false, false),
              ElementsAre(0xE4, 0x80, 0x80, 256, 0xA0));
  EXPECT_THAT(t.encode("<gap>  <gap>", false, false), ElementsAre(256, 256));
}

}  // namespace
}  // namespace tidal::test
