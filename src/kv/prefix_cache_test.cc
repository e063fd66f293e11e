#include "kv/prefix_cache.h"

#include <gtest/gtest.h>

#include <numeric>

namespace tidal::test {
namespace {

class PrefixCacheTest : public testing::Test {
 protected:
  SequenceKv rows(int64_t n) {
    SequenceKv kv(pool_, 128);
    EXPECT_TRUE(kv.grow(n));
    return kv;
  }
  static std::vector<int32_t> tokens(int32_t n) {
    std::vector<int32_t> ids(static_cast<size_t>(n));
    std::iota(ids.begin(), ids.end(), 0);
    return ids;
  }

  PagePool pool_{{.n_layers = 1, .n_kv_heads = 1, .head_dim = 8}, 16};
  PrefixCache cache_;
};

TEST_F(PrefixCacheTest, GivesBackTheSharedRowsOnly) {
  cache_.put(7, tokens(40), rows(40));
  std::vector<int32_t> prompt = tokens(50);
  prompt[33] = 99;
  const std::optional<SequenceKv> kv = cache_.take(7, prompt);
  ASSERT_TRUE(kv.has_value());
  EXPECT_EQ(kv->length(), 33);
  EXPECT_EQ(pool_.free_pages(), 16 - 3);
  EXPECT_FALSE(cache_.take(7, prompt).has_value()) << "an entry is taken once";
}

TEST_F(PrefixCacheTest, LeavesOneRowToRun) {
  cache_.put(7, tokens(40), rows(40));
  const std::optional<SequenceKv> kv = cache_.take(7, tokens(40));
  ASSERT_TRUE(kv.has_value());
  EXPECT_EQ(kv->length(), 39);
}

TEST_F(PrefixCacheTest, NothingSharedGivesThePagesBack) {
  cache_.put(7, tokens(40), rows(40));
  EXPECT_FALSE(cache_.take(8, tokens(40)).has_value());
  EXPECT_FALSE(cache_.take(7, std::vector<int32_t>{5, 6}).has_value());
  EXPECT_EQ(pool_.free_pages(), 16);
}

TEST_F(PrefixCacheTest, DropsTheOldestFirst) {
  cache_.put(1, tokens(16), rows(16));
  cache_.put(2, tokens(32), rows(32));
  cache_.put(1, tokens(48), rows(48));
  EXPECT_EQ(pool_.free_pages(), 16 - 5);
  EXPECT_TRUE(cache_.drop_oldest());
  EXPECT_EQ(pool_.free_pages(), 16 - 3) << "conversation 2 was the oldest";
  EXPECT_TRUE(cache_.drop_oldest());
  EXPECT_FALSE(cache_.drop_oldest());
  EXPECT_EQ(pool_.free_pages(), 16);
}

}  // namespace
}  // namespace tidal::test
