// Merges and bytes are looked for among all names; a token's type says what is parsed in text and
// what is shown.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_json.h"
#include "text/tokenizer_test_util.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using nlohmann::json;
using ::testing::ElementsAre;

constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

// Bytes (the ids are the bytes), then merges.
TokenizerData byte_level() {
  TokenizerData data;
  data.model = "gpt2";
  data.pre = "gpt-2";
  for (const char32_t c : byte_alphabet()) append_utf8(c, &data.tokens.emplace_back());
  for (const char* merge : {"h e", "l l", "he ll", "hell o", "Ġ h", "Ġ Ġ"}) {  // 256 to 261
    data.merges.push_back(merge);
    data.tokens.push_back(std::string(merge).erase(std::string(merge).find(' '), 1));
  }
  data.types.assign(data.tokens.size(), kNormal);
  return data;
}

TEST(TokenTypes, MergesAndBytesOfAGgufAreFoundWhateverTheirType) {
  const Tokenizer plain = Tokenizer::create(byte_level());
  const std::string text = "hello  hello\n hi";
  for (const int id : {+'h', +'o', +'\n', +' ', 256, 257, 258, 259, 260, 261}) {
    for (const int32_t type : {kControl, kUnknown, kUnused, kUserDefined, kByte}) {
      TokenizerData data = byte_level();
      data.types[static_cast<size_t>(id)] = type;
      const Tokenizer t = Tokenizer::create(data);
      // User-defined tokens are found in text first, by their own name.
      if (type != kUserDefined || id == '\n' || id == ' ' || id >= 260) {
        EXPECT_EQ(t.encode(text, false, false), plain.encode(text, false, false)) << id;
      }
      EXPECT_EQ(t.decode(t.encode(text, false, false), true), text) << id << " of type " << type;
    }
  }
}

TEST(TokenTypes, WholeWordsAreFoundWhateverTheirType) {
  TokenizerData data = byte_level();
  data.ignore_merges = true;
  data.types[259] = kUserDefined;
  EXPECT_THAT(Tokenizer::create(data).encode("hello", false, false), ElementsAre(259));
  // A name that no merge makes is no word, whatever characters it is made of.
  data.tokens.push_back("xyz");
  data.types.push_back(kControl);
  EXPECT_THAT(Tokenizer::create(data).encode("xyz", false, false), ElementsAre('x', 'y', 'z'));
}

TEST(TokenTypes, AnAddedTokenMayBeAWord) {
  json spec = json::parse(read_text(data_path("text/added_tokens.json")))["byte_word"]["tokenizer"];
  const Tokenizer t = Tokenizer::create(
      read_tokenizer_json(spec.dump(), R"({"pad_token": "h"})", "tokenizer.json"));
  const TokenId h = *t.find("h");
  EXPECT_THAT(t.encode("hello", false, false),
              ElementsAre(h, *t.find("e"), *t.find("ll"), *t.find("o")));
  EXPECT_EQ(t.decode(t.encode("hello h", false, false)), "hello h");
}

TEST(TokenTypes, NoMergeMakesMarkup) {
  TokenizerData data = byte_level();
  for (const char* merge : {"< |", "<| >"}) {
    data.merges.push_back(merge);
    data.tokens.push_back(std::string(merge).erase(std::string(merge).find(' '), 1));
    data.types.push_back(kNormal);
  }
  EXPECT_THAT(Tokenizer::create(data).encode("<|>", false, false), ElementsAre(263));
  data.types.back() = kControl;
  EXPECT_THAT(Tokenizer::create(data).encode("<|>", false, false), ElementsAre(262, '>'));
  EXPECT_THAT(Tokenizer::create(data).encode("<|>", false, true), ElementsAre(263));
}

// unk, BOS, EOS, then 256 bytes (from id 3) of the given type, then pieces.
Tokenizer sentence_piece(int32_t byte_type, int32_t piece_type = kNormal) {
  TokenizerData data;
  data.model = "llama";
  const auto add = [&](const std::string& text, int32_t type) {
    data.scores.push_back(-static_cast<float>(data.tokens.size()));
    data.tokens.push_back(text);
    data.types.push_back(type);
  };
  add("<unk>", kUnknown);
  add("<s>", kControl);
  add("</s>", kControl);
  for (int byte = 0; byte < 256; ++byte) add(fmt::format("<0x{:02X}>", byte), byte_type);
  for (const char* piece : {"▁hi", "hi", "▁", "h", "i", "!"}) add(piece, piece_type);  // 259 to 264
  return Tokenizer::create(std::move(data));
}

TEST(TokenTypes, BytesOfSentencePieceAreFoundByName) {
  for (const int32_t type : {kByte, kNormal, kUserDefined, kUnused}) {
    const Tokenizer t = sentence_piece(type);
    const std::string text = "hi \u00E9\n<0x41>";
    EXPECT_THAT(t.encode("hi \u00E9\n", false, false),
                ElementsAre(259, 261, 3 + 0xC3, 3 + 0xA9, 3 + '\n'))
        << type;
    EXPECT_EQ(t.decode(t.encode(text, false, false)), text) << type;
  }
}

TEST(TokenTypes, PiecesOfSentencePieceAreFoundWhateverTheirType) {
  for (const int32_t type : {kNormal, kControl, kUserDefined, kUnused}) {
    const Tokenizer t = sentence_piece(kByte, type);
    EXPECT_EQ(t.decode(t.encode("hi h!", false, false), true),
              type == kControl ? "▁hi▁h!" : "hi h!");
    if (type == kUserDefined) continue;  // found in text before anything else
    EXPECT_THAT(t.encode("hi h!", false, false), ElementsAre(259, 261, 262, 264)) << type;
  }
}

}  // namespace
}  // namespace tidal::test
