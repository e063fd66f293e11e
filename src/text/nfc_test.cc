#include "text/nfc.h"

#include <gtest/gtest.h>

namespace tidal::test {
namespace {

TEST(Nfc, ComposesAndOrders) {
  EXPECT_EQ(to_nfc(""), "");
  EXPECT_EQ(to_nfc("plain \u00E9"), "plain \u00E9");
  EXPECT_EQ(to_nfc("cafe\u0301"), "caf\u00E9");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5");                // a singleton
  EXPECT_EQ(to_nfc("q\u0307\u0323"), "q\u0323\u0307");  // marks are ordered by class
  EXPECT_EQ(to_nfc("\u1E9B\u0323"), "\u1E9B\u0323");    // long s with dots is unchanged
  EXPECT_EQ(to_nfc("\u1112\u1161\u11AB"), "\uD55C");    // Hangul
  EXPECT_EQ(to_nfc("\uD55C\u11AB"), "\uD55C\u11AB");    // already has a tail
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093C");          // never composed
  EXPECT_EQ(to_nfc("a\u0328\u0301\u0301"), "\u0105\u0301\u0301");
  EXPECT_EQ(to_nfc("\u0301e\u0301"), "\u0301\u00E9");
}

TEST(Nfc, LeavesBadBytesAlone) {
  EXPECT_EQ(to_nfc("e\xFF\u0301 e\u0301\xE4\xB8"), "e\xFF\u0301 \u00E9\xE4\xB8");
}

}  // namespace
}  // namespace tidal::test
