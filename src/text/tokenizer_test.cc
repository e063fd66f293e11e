#include "text/tokenizer.h"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <thread>

#include "base/utf8.h"
#include "text/byte_alphabet.h"
#include "text/tokenizer_test_util.h"
#include "tidal/error.h"

namespace tidal::test {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Ids = std::vector<TokenId>;

constexpr int32_t kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4, kByte = 6;

void add(TokenizerData* data, const std::string& text, int32_t type = kNormal, float score = 0) {
  data->tokens.push_back(text);
  data->types.push_back(type);
  if (data->model == "llama") data->scores.push_back(score);
}

// 256 bytes (the ids are the bytes), then merges, then special tokens.
TokenizerData byte_level_data() {
  TokenizerData data;
  data.source = "tiny.gguf";
  data.model = "gpt2";
  data.pre = "gpt-2";
  for (const char32_t c : byte_alphabet()) {
    std::string text;
    append_utf8(c, &text);
    add(&data, text);
  }
  for (const char* merge : {"l l", "h e", "he ll", "hell o", "Ġ w", "o r"}) {  // 256 to 261
    data.merges.push_back(merge);
    add(&data, std::string(merge).erase(std::string(merge).find(' '), 1));
  }
  add(&data, "<|begin|>", kControl);     // 262
  add(&data, "<|end|>", kControl);       // 263
  add(&data, "<tool>", kUserDefined);    // 264
  add(&data, "<|late|>", kUserDefined);  // 265
  data.bos = 262;
  data.eos = 263;
  return data;
}

// unk, BOS, EOS, 256 bytes (from id 3), then pieces by score.
TokenizerData sentence_piece_data() {
  TokenizerData data;
  data.source = "tiny.gguf";
  data.model = "llama";
  add(&data, "<unk>", kUnknown);
  add(&data, "<s>", kControl);
  add(&data, "</s>", kControl);
  for (int byte = 0; byte < 256; ++byte) add(&data, fmt::format("<0x{:02X}>", byte), kByte);
  float score = 0;
  for (const char* piece : {"▁a", "bc", "ab", "▁ab", "cd", "</", "s>", "</s", "▁", "a", "b", "c",
                            "d", "<", "/", "s", ">", "é"}) {  // 259 to 276
    add(&data, piece, kNormal, score);
    score -= 1;
  }
  return data;
}

std::string error_of(TokenizerData data) {
  try {
    Tokenizer::create(std::move(data));
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST(ByteLevelTokenizer, MergesBestFirstWithinWords) {
  const Tokenizer tokenizer = Tokenizer::create(byte_level_data());
  EXPECT_THAT(tokenizer.encode("hello", false, false), ElementsAre(259));
  EXPECT_THAT(tokenizer.encode("hellhello wor", false, false), ElementsAre(258, 259, 260, 261));
  EXPECT_THAT(tokenizer.encode("lll", false, false), ElementsAre(256, 'l'));
  EXPECT_THAT(tokenizer.encode("", false, false), ElementsAre());
}

TEST(ByteLevelTokenizer, AddsBosAndEosAsTheModelWants) {
  TokenizerData data = byte_level_data();
  EXPECT_THAT(Tokenizer::create(data).encode("o", true, false), ElementsAre('o'));
  data.add_bos = true;
  data.add_eos = true;
  const Tokenizer tokenizer = Tokenizer::create(data);
  EXPECT_THAT(tokenizer.encode("o", true, false), ElementsAre(262, 'o', 263));
  EXPECT_THAT(tokenizer.encode("o", false, false), ElementsAre('o'));
  data.pre = "llama-bpe";
  data.add_bos.reset();
  EXPECT_TRUE(Tokenizer::create(data).adds_bos());
}

TEST(ByteLevelTokenizer, ControlTokensComeFromTextOnlyOnRequest) {
  const Tokenizer tokenizer = Tokenizer::create(byte_level_data());
  EXPECT_THAT(tokenizer.encode("o<|end|>o", false, true), ElementsAre('o', 263, 'o'));
  const Ids plain = tokenizer.encode("o<|end|>o", false, false);
  EXPECT_EQ(plain.size(), 9u);
  EXPECT_THAT(plain, ::testing::Each(::testing::Lt(256)));
  // A token that merely looks like a control token is one, however the file marks it.
  EXPECT_THAT(tokenizer.encode("<|late|>", false, false), ::testing::Not(ElementsAre(265)));
  EXPECT_THAT(tokenizer.encode("<|late|>", false, true), ElementsAre(265));
  EXPECT_TRUE(tokenizer.is_control(265));
  EXPECT_THAT(tokenizer.encode("a<tool>", false, false), ElementsAre('a', 264));
}

TEST(ByteLevelTokenizer, IgnoreMergesTakesWholeWords) {
  TokenizerData data = byte_level_data();
  add(&data, "Ġxyz");
  EXPECT_EQ(Tokenizer::create(data).encode(" xyz", false, false).size(), 4u);
  data.ignore_merges = true;
  EXPECT_THAT(Tokenizer::create(data).encode(" xyz", false, false), ElementsAre(266));
}

TEST(ByteLevelTokenizer, SpecialTokensSwallowSpaceWhereTheySaySo) {
  TokenizerData data = byte_level_data();
  data.strip_left = {262};
  data.strip_right = {263};
  const Tokenizer tokenizer = Tokenizer::create(data);
  EXPECT_THAT(tokenizer.encode("o \n<|begin|> o <|end|>\n o", false, true),
              ElementsAre('o', 262, ' ', 'o', ' ', 263, 'o'));
}

TEST(ByteLevelTokenizer, AnyBytesComeBack) {
  const Tokenizer tokenizer = Tokenizer::create(byte_level_data());
  std::mt19937 random(1);
  for (int round = 0; round < 300; ++round) {
    std::string text(random() % 40, '\0');
    for (char& c : text) {
      c = static_cast<char>(random() % 4 ? "hel ow\xC3\xA9\xE4\xB8"[random() % 11] : random());
    }
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, false, false)), text);
  }
  EXPECT_THAT(tokenizer.encode("\xFFo\xE4\xB8", false, false), ElementsAre(0xFF, 'o', 0xE4, 0xB8));
}

TEST(ByteLevelTokenizer, BytesWithoutTokenBecomeTheReplacementCharacter) {
  TokenizerData data = byte_level_data();
  data.tokens[0xF1] = "unreachable";
  const Tokenizer tokenizer = Tokenizer::create(data);
  EXPECT_THAT(tokenizer.encode("\xF1", false, false), ElementsAre(0xEF, 0xBF, 0xBD));
  data.tokens[0xBD] = "unreachable too";
  EXPECT_THROW(Tokenizer::create(data).encode("\xF1", false, false), Error);
}

TEST(SentencePieceTokenizer, MergesByScore) {
  const Tokenizer tokenizer = Tokenizer::create(sentence_piece_data());
  EXPECT_THAT(tokenizer.encode("abcd", false, false), ElementsAre(259, 260, 271));
  EXPECT_THAT(tokenizer.encode("abcd", true, false), ElementsAre(1, 259, 260, 271));
  EXPECT_THAT(tokenizer.encode("a  a", false, false), ElementsAre(259, 267, 259));
  EXPECT_THAT(tokenizer.encode("", true, false), ElementsAre(1));
}

TEST(SentencePieceTokenizer, UnknownCharactersBecomeBytes) {
  TokenizerData data = sentence_piece_data();
  const Tokenizer tokenizer = Tokenizer::create(data);
  EXPECT_THAT(tokenizer.encode("a中\xFF", false, false),
              ElementsAre(259, 3 + 0xE4, 3 + 0xB8, 3 + 0xAD, 3 + 0xFF));
  data.byte_fallback = false;
  EXPECT_THAT(Tokenizer::create(data).encode("a中中a", false, false), ElementsAre(259, 0, 0, 268));
  data.fuse_unknown = true;
  EXPECT_THAT(Tokenizer::create(data).encode("a中中a", false, false), ElementsAre(259, 0, 268));
}

TEST(SentencePieceTokenizer, MergesNeverMakeAControlToken) {
  const Tokenizer tokenizer = Tokenizer::create(sentence_piece_data());
  // "</" and "s>" are tokens, and "</s>" would be their union.
  EXPECT_THAT(tokenizer.encode("</s>", false, false), ElementsAre(267, 264, 265));
  EXPECT_THAT(tokenizer.encode("</s>", false, true), ElementsAre(2));
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("<0x41>", false, false)), "<0x41>");
}

TEST(SentencePieceTokenizer, SpacePrefixFollowsItsFlags) {
  TokenizerData data = sentence_piece_data();
  EXPECT_THAT(Tokenizer::create(data).encode("<s>a", false, true), ElementsAre(1, 259));
  data.space_prefix_first_only = true;
  EXPECT_THAT(Tokenizer::create(data).encode("<s>a", false, true), ElementsAre(1, 268));
  data.space_prefix_unless_space = true;
  EXPECT_THAT(Tokenizer::create(data).encode(" a", false, false), ElementsAre(259));
  data.add_space_prefix = false;
  EXPECT_THAT(Tokenizer::create(data).encode("a", false, false), ElementsAre(268));
  EXPECT_EQ(Tokenizer::create(data).decode(Ids{259}), " a");
}

TEST(SentencePieceTokenizer, DecodeDropsTheSpaceItAdded) {
  const Tokenizer tokenizer = Tokenizer::create(sentence_piece_data());
  for (const std::string text : {"a", " a", "a ", "  ", "abé\n中", "", "\xFF"}) {
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text, true, false)), text);
  }
  EXPECT_EQ(tokenizer.decode(Ids{1, 259, 2}), "a");
  EXPECT_EQ(tokenizer.decode(Ids{1, 259, 2}, true), "<s>a</s>");
}

// Cutting at spaces is an optimisation: a vocabulary with a token across a space gives the same ids
// wherever that token does not occur.
TEST(SentencePieceTokenizer, WordByWordEqualsAllAtOnce) {
  TokenizerData data = sentence_piece_data();
  const Tokenizer by_word = Tokenizer::create(data);
  add(&data, "é▁", kNormal, -100);
  const Tokenizer at_once = Tokenizer::create(data);
  std::mt19937 random(2);
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (size_t n = random() % 60; n > 0; --n) text += "abcd  </s>"[random() % 10];
    EXPECT_EQ(by_word.encode(text, true, false), at_once.encode(text, true, false)) << text;
  }
  EXPECT_THAT(at_once.encode("é é", false, false), ElementsAre(267, 277, 276));
}

TEST(SentencePieceTokenizer, LongTokensMergeToo) {
  TokenizerData data = sentence_piece_data();
  std::string dashes = "-";
  for (int i = 0; i < 8; ++i, dashes += dashes) add(&data, dashes, kNormal, -50.0f - i);
  const Tokenizer tokenizer = Tokenizer::create(data);
  EXPECT_THAT(tokenizer.encode(std::string(256, '-'), false, false), ElementsAre(267, 284, 284));
}

TEST(Tokenizer, FindIsTheInverseOfPiece) {
  for (const TokenizerData& data : {byte_level_data(), sentence_piece_data()}) {
    const Tokenizer tokenizer = Tokenizer::create(data);
    for (TokenId id = 0; id < tokenizer.vocab_size(); ++id) {
      const auto found = tokenizer.find(tokenizer.piece(id));
      ASSERT_TRUE(found.has_value()) << id;
      EXPECT_EQ(tokenizer.piece(*found), tokenizer.piece(id));
    }
    EXPECT_EQ(tokenizer.find("no such token"), std::nullopt);
  }
  const Tokenizer tokenizer = Tokenizer::create(sentence_piece_data());
  EXPECT_EQ(tokenizer.find(" a"), 259);
  EXPECT_EQ(tokenizer.find("</s>"), 2);
}

TEST(Tokenizer, KnowsWhereGenerationEnds) {
  TokenizerData data = byte_level_data();
  data.extra_eog = {257};
  add(&data, "<|im_end|>", kControl);
  const Tokenizer tokenizer = Tokenizer::create(data);
  for (const TokenId id : {263, 257, 266}) EXPECT_TRUE(tokenizer.is_end_of_generation(id));
  EXPECT_FALSE(tokenizer.is_end_of_generation(262));
}

TEST(Tokenizer, IdsOutsideTheVocabularyAreEmptyText) {
  const Tokenizer tokenizer = Tokenizer::create(byte_level_data());
  EXPECT_EQ(tokenizer.decode(Ids{'a', -1, 100000, 'b'}), "ab");
  EXPECT_EQ(tokenizer.piece(266), "");
  EXPECT_FALSE(tokenizer.is_control(266));
  EXPECT_FALSE(tokenizer.is_end_of_generation(266));
  EXPECT_EQ(StreamDecoder(tokenizer).push(266), "");
}

TEST(Tokenizer, DamagedDataIsNamed) {
  const auto with = [](auto&& change, TokenizerData data) {
    change(data);
    return error_of(std::move(data));
  };
  const TokenizerData pairs = byte_level_data();
  const TokenizerData pieces = sentence_piece_data();
  EXPECT_EQ(error_of(pairs), "");
  EXPECT_EQ(error_of(pieces), "");
  EXPECT_THAT(with([](auto& d) { d.model = "bert"; }, pairs), HasSubstr("\"bert\""));
  EXPECT_THAT(with([](auto& d) { d.pre = "odd"; }, pairs), HasSubstr("\"odd\""));
  EXPECT_THAT(with([](auto& d) { d.tokens.clear(); }, pairs), HasSubstr("empty"));
  EXPECT_THAT(with([](auto& d) { d.types.pop_back(); }, pairs), HasSubstr("token_type"));
  EXPECT_THAT(with([](auto& d) { d.types[3] = 9; }, pairs), HasSubstr("token_type[3]"));
  EXPECT_THAT(with([](auto& d) { d.merges[1] = "he"; }, pairs), HasSubstr("merge 1"));
  EXPECT_THAT(with([](auto& d) { d.merges[1] = "h qq"; }, pairs), HasSubstr("merge 1"));
  EXPECT_THAT(with([](auto& d) { d.bos = 9999; }, pairs), HasSubstr("bos_token_id"));
  EXPECT_THAT(with([](auto& d) { d.eos = -7; }, pairs), HasSubstr("eos_token_id"));
  EXPECT_THAT(with([](auto& d) { d.extra_eog = {999}; }, pairs), HasSubstr("999"));
  EXPECT_THAT(with(
                  [](auto& d) {
                    d.bos = -1;
                    d.add_bos = true;
                  },
                  pairs),
              HasSubstr("BOS"));
  EXPECT_THAT(with([](auto& d) { d.scores.pop_back(); }, pieces), HasSubstr("scores"));
  EXPECT_THAT(with([](auto& d) { d.scores.clear(); }, pieces), HasSubstr("scores"));
  EXPECT_THAT(with([](auto& d) { d.scores[5] = NAN; }, pieces), HasSubstr("scores[5]"));
  EXPECT_THAT(with([](auto& d) { d.tokens[3] = "x"; }, pieces), HasSubstr("<0xHH>"));
  EXPECT_THAT(error_of(pairs).empty() ? "tiny.gguf" : "", HasSubstr("tiny.gguf"));
}

TEST(Tokenizer, ThreadsShareOne) {
  const Tokenizer tokenizer = Tokenizer::create(byte_level_data());
  const Ids expected = tokenizer.encode("hello world, hello", false, false);
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 50; ++round) {
        EXPECT_EQ(tokenizer.encode("hello world, hello", false, false), expected);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(StreamDecoder, HoldsBackHalfCharacters) {
  StreamDecoder stream(Tokenizer::create(byte_level_data()));
  EXPECT_EQ(stream.push('a'), "a");
  EXPECT_EQ(stream.push(0xF0), "");
  EXPECT_EQ(stream.push(0x9F), "");
  EXPECT_EQ(stream.push(0x99), "");
  EXPECT_EQ(stream.push(0x82), "\U0001F642");
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push('b'),
            "\uFFFD"
            "b");
  EXPECT_EQ(stream.push(0xFF), "\uFFFD");
  EXPECT_EQ(stream.push(262), "");
  EXPECT_EQ(stream.push(0xE4), "");
  EXPECT_EQ(stream.push(0xB8), "");
  EXPECT_EQ(stream.flush(), "\uFFFD");
  EXPECT_EQ(stream.flush(), "");
}

TEST(StreamDecoder, PartsAddUpToTheText) {
  const Tokenizer tokenizer = Tokenizer::create(byte_level_data());
  const std::string text = "hello wörld, 你好 \U0001F468\u200D\U0001F469 \u00E9\u0301";
  StreamDecoder stream(tokenizer);
  std::string streamed;
  for (const TokenId id : tokenizer.encode(text, false, false)) {
    const std::string part = stream.push(id);
    EXPECT_EQ(valid_utf8_length(part, 0), part.size());
    streamed += part;
  }
  EXPECT_EQ(streamed + stream.flush(), text);
}

TEST(StreamDecoder, KeepsTheLeadingSpaceUnlessATextBegins) {
  const Tokenizer tokenizer = Tokenizer::create(sentence_piece_data());
  EXPECT_EQ(StreamDecoder(tokenizer).push(259), " a");
  StreamDecoder beginning(tokenizer, false, true);
  EXPECT_EQ(beginning.push(1), "");
  EXPECT_EQ(beginning.push(259), "a");
  EXPECT_EQ(beginning.push(259), " a");
  EXPECT_EQ(StreamDecoder(tokenizer, true).push(2), "</s>");
}

}  // namespace
}  // namespace tidal::test
