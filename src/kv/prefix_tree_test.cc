#include "kv/prefix_tree.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

namespace tidal::test {
namespace {

using Tokens = std::vector<int32_t>;

class PrefixTreeTest : public testing::Test {
 protected:
  static constexpr int64_t kMaxLength = 160;

  static Tokens counting(int32_t n, int32_t first = 0) {
    Tokens tokens(static_cast<size_t>(n));
    std::iota(tokens.begin(), tokens.end(), first);
    return tokens;
  }
  SequenceKv rows(int64_t n) {
    SequenceKv kv(pool_, kMaxLength);
    EXPECT_TRUE(kv.grow(n));
    return kv;
  }
  // Reads an unrelated text and leaves it in the tree.
  std::vector<int32_t> read(const Tokens& tokens, std::string_view root = "") {
    const SequenceKv kv = rows(std::ssize(tokens));
    tree_.insert(root, tokens, kv);
    return {kv.pages().begin(), kv.pages().end()};
  }
  int64_t found(const Tokens& tokens, std::string_view root = "") {
    return tree_.find(root, tokens, kMaxLength).length();
  }

  PagePool pool_{{.n_layers = 1, .n_kv_heads = 1, .head_dim = 8}, 16};
  PrefixTree tree_{pool_};
};

TEST_F(PrefixTreeTest, FindsTheWholePagesOfWhatIsShared) {
  const std::vector<int32_t> pages = read(counting(50));
  EXPECT_EQ(tree_.n_pages(), 3) << "the last two rows do not fill a page";
  Tokens prompt = counting(50);
  prompt[40] = 999;
  const SequenceKv kv = tree_.find("", prompt, kMaxLength);
  EXPECT_EQ(kv.length(), 32);
  EXPECT_EQ(kv.max_length(), kMaxLength);
  EXPECT_TRUE(std::equal(kv.pages().begin(), kv.pages().end(), pages.begin()));
  EXPECT_EQ(found(counting(15)), 0);
  EXPECT_EQ(found(counting(16)), 16);
  EXPECT_EQ(found(counting(16, 1)), 0);
  EXPECT_EQ(tree_.find("", counting(50), 20).length(), 16) << "no more than max_length";
}

TEST_F(PrefixTreeTest, TextsOfOtherRootsShareNothing) {
  read(counting(32), "a");
  EXPECT_EQ(found(counting(32), "b"), 0);
  EXPECT_EQ(found(counting(32)), 0);
  EXPECT_EQ(found(counting(32), "a"), 32);
}

TEST_F(PrefixTreeTest, KeepsThePagesItHasAndAddsWhatIsNew) {
  const std::vector<int32_t> first = read(counting(32));
  EXPECT_EQ(pool_.free_pages(), 16 - 2);
  const std::vector<int32_t> second = read(counting(48));
  EXPECT_EQ(pool_.free_pages(), 16 - 3);
  const SequenceKv kv = tree_.find("", counting(48), kMaxLength);
  EXPECT_EQ(Tokens(kv.pages().begin(), kv.pages().end()), Tokens({first[0], first[1], second[2]}));
}

TEST_F(PrefixTreeTest, GivesTheEndUsedLongestAgoBackFirst) {
  Tokens branch = counting(48);
  branch[40] = 999;
  read(counting(48));  // two pages and one of its own
  read(branch);
  read(counting(16, 500));
  EXPECT_EQ(found(counting(48)), 48);
  EXPECT_EQ(tree_.n_pages(), 5);
  EXPECT_TRUE(tree_.evict());
  EXPECT_EQ(found(branch), 32);
  EXPECT_TRUE(tree_.evict());
  EXPECT_EQ(found(counting(16, 500)), 0);
  EXPECT_TRUE(tree_.evict());
  EXPECT_EQ(found(counting(48)), 32);
  EXPECT_TRUE(tree_.evict());
  EXPECT_TRUE(tree_.evict());
  EXPECT_FALSE(tree_.evict());
  EXPECT_EQ(pool_.free_pages(), 16);
}

TEST_F(PrefixTreeTest, WhatIsInUseStays) {
  read(counting(32));
  read(counting(32, 500));
  const SequenceKv in_use = tree_.find("", counting(32), kMaxLength);
  EXPECT_TRUE(tree_.evict());
  EXPECT_TRUE(tree_.evict());
  EXPECT_FALSE(tree_.evict());
  EXPECT_EQ(found(counting(32, 500)), 0);
  EXPECT_EQ(found(counting(32)), 32);
}

// Two sequences read the same text at once; the one whose pages came second is longer.
TEST_F(PrefixTreeTest, AnInnerPageThatNobodyHoldsCanBeHadToo) {
  read(counting(32));
  SequenceKv longer = rows(48);
  tree_.insert("", counting(48), longer);
  EXPECT_EQ(pool_.free_pages(), 16 - 5);
  EXPECT_TRUE(tree_.evict()) << "the leaf is in use";
  EXPECT_EQ(pool_.free_pages(), 16 - 3) << "the two only the tree held";
  EXPECT_EQ(tree_.n_pages(), 0);
  EXPECT_FALSE(tree_.evict());
}

// Compared with a list of the texts themselves.
TEST_F(PrefixTreeTest, RandomTextsAreFoundAsAListWouldFindThem) {
  std::mt19937 random(3);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  const auto text = [&] {
    Tokens tokens;
    while (tokens.size() < 80) tokens.insert(tokens.end(), 16, static_cast<int32_t>(below(2)));
    tokens.resize(static_cast<size_t>(below(80)));
    return tokens;
  };
  std::map<Tokens, bool> known;  // prefixes in whole pages
  for (int step = 0; step < 3000; ++step) {
    const Tokens tokens = text();
    const int64_t n_whole = std::ssize(tokens) / kPageRows;
    int64_t expected = 0;
    while (expected < n_whole &&
           known.count({tokens.begin(), tokens.begin() + (expected + 1) * kPageRows}) > 0) {
      ++expected;
    }
    SequenceKv kv = tree_.find("", tokens, kMaxLength);
    ASSERT_EQ(kv.length(), expected * kPageRows) << step;
    while (!kv.grow(std::ssize(tokens) - kv.length())) {
      ASSERT_TRUE(tree_.evict());
      std::erase_if(
          known, [&](const auto& entry) { return found(entry.first) < std::ssize(entry.first); });
    }
    if (below(3) > 0) {
      tree_.insert("", tokens, kv);
      for (int64_t page = 1; page <= n_whole; ++page) {
        known[{tokens.begin(), tokens.begin() + page * kPageRows}] = true;
      }
    }
    ASSERT_EQ(tree_.n_pages(), std::ssize(known));
  }
}

// To the token, among children whose order is that of their tokens.
TEST_F(PrefixTreeTest, SaysHowManyTokensAreThoseOfAKnownText) {
  EXPECT_EQ(tree_.common("", counting(20)), 0);
  for (const int32_t last : {100, 300, 200}) {
    Tokens text = counting(48);
    for (size_t i = 37; i < 48; ++i) text[i] = last;
    read(text);
  }
  EXPECT_EQ(tree_.common("", counting(48)), 37);
  EXPECT_EQ(tree_.common("another", counting(48)), 0);
  for (const int32_t next : {5, 100, 250, 999}) {
    Tokens text = counting(40);
    text[37] = next;
    EXPECT_EQ(tree_.common("", text), next == 100 ? 38 : 37) << next;
  }
  EXPECT_EQ(tree_.common("", counting(9)), 9);
  EXPECT_EQ(tree_.common("", counting(60, 1)), 0);
  Tokens longer = counting(37);
  longer.resize(48, 300);
  longer.push_back(4);
  EXPECT_EQ(tree_.common("", longer), 48);
  EXPECT_EQ(tree_.common("", {}), 0);
}

TEST_F(PrefixTreeTest, CountsThePagesThatMayMakeWay) {
  read(counting(64));
  EXPECT_EQ(tree_.evictable_pages(), 4);
  {
    const SequenceKv user = tree_.find("", counting(40), kMaxLength);
    EXPECT_EQ(tree_.evictable_pages(), 2);
  }
  EXPECT_EQ(tree_.evictable_pages(), 4);
}

// What a listener was told, put together: the text of each block with all that is before it.
struct Heard {
  std::map<uint64_t, Tokens> texts;

  CacheListener listener() {
    return [this](const CacheEvent& event) {
      if (!event.kept) {
        for (const uint64_t block : event.blocks) EXPECT_EQ(texts.erase(block), 1u);
        return;
      }
      ASSERT_EQ(event.tokens.size(), event.blocks.size() * size_t{kPageRows});
      Tokens text;
      if (event.parent != 0) text = texts.at(event.parent);
      for (size_t i = 0; i < event.blocks.size(); ++i) {
        const auto page = event.tokens.subspan(i * size_t{kPageRows}, size_t{kPageRows});
        text.insert(text.end(), page.begin(), page.end());
        EXPECT_TRUE(texts.emplace(event.blocks[i], text).second);
      }
    };
  }
};

TEST_F(PrefixTreeTest, TellsOfWhatIsKeptAndGivenUp) {
  Heard heard;
  tree_.listen(heard.listener());
  read(counting(50));
  Tokens other = counting(70);
  other[40] = 999;
  read(other);
  read(counting(50));
  read(counting(32), "somebody's own");
  std::vector<Tokens> texts;
  for (const auto& [block, text] : heard.texts) texts.push_back(text);
  const auto first = [](const Tokens& tokens, int n) {
    return Tokens(tokens.begin(), tokens.begin() + n);
  };
  EXPECT_THAT(texts, testing::UnorderedElementsAre(first(other, 16), first(other, 32), counting(48),
                                                   first(other, 48), first(other, 64)));
  while (tree_.evict()) {
  }
  EXPECT_TRUE(heard.texts.empty());
}

}  // namespace
}  // namespace tidal::test
