#include "kv/page_pool.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <set>

#include "tidal/error.h"

namespace tidal::test {
namespace {

constexpr KvLayout kMixed = {3, 2, 8, DType::kF32, DType::kBF16};

TEST(PagePool, HandsOutEveryPageOnceAndTakesItBack) {
  PagePool pool(kMixed, 5);
  EXPECT_EQ(pool.free_pages(), 5);
  std::set<int32_t> pages;
  for (int i = 0; i < 5; ++i) pages.insert(pool.acquire());
  EXPECT_EQ(pages, (std::set<int32_t>{0, 1, 2, 3, 4}));
  EXPECT_EQ(pool.acquire(), -1);
  EXPECT_EQ(pool.free_pages(), 0);
  pool.release(3);
  EXPECT_EQ(pool.free_pages(), 1);
  EXPECT_EQ(pool.acquire(), 3);
}

TEST(PagePool, FirstPagesAreAdjacent) {
  PagePool pool(kMixed, 4);
  for (int32_t i = 0; i < 4; ++i) EXPECT_EQ(pool.acquire(), i);
}

TEST(PagePool, SharedPagesAreFreeOnlyAfterTheLastRelease) {
  PagePool pool(kMixed, 1);
  const int32_t page = pool.acquire();
  EXPECT_FALSE(pool.is_shared(page));
  pool.share(page);
  EXPECT_TRUE(pool.is_shared(page));
  pool.release(page);
  EXPECT_FALSE(pool.is_shared(page));
  EXPECT_EQ(pool.free_pages(), 0);
  pool.release(page);
  EXPECT_EQ(pool.free_pages(), 1);
}

TEST(PagePoolDeathTest, ReleasingOrSharingAFreePageAborts) {
  PagePool pool(kMixed, 2);
  EXPECT_DEATH(pool.release(0), "page 0 is free");
  EXPECT_DEATH(pool.share(1), "page 1 is free");
}

TEST(PagePool, CountsBytesOfBothPlanes) {
  // 3 layers of 2 heads x 8 elements, 4 bytes in K and 2 in V.
  EXPECT_EQ(PagePool(kMixed, 1).bytes_per_token(), 3u * 16u * (4u + 2u));
}

// No byte of any page, layer or plane is shared: fill all with distinct marks.
TEST(PagePool, PlanesLayersAndPagesDoNotOverlap) {
  PagePool pool(kMixed, 3);
  const int32_t table[] = {0, 1, 2};
  uint8_t mark = 0;
  const auto for_each_row = [&](auto&& visit) {
    mark = 0;
    for (int32_t layer = 0; layer < kMixed.n_layers; ++layer) {
      KvView view = pool.layer_view(layer);
      EXPECT_EQ(view.length, 0);
      EXPECT_EQ(view.k.row_bytes, 64u);
      EXPECT_EQ(view.v.row_bytes, 32u);
      view.page_table = table;
      for (int64_t row = 0; row < 3 * kPageRows; ++row) {
        visit(view.k_row(row), view.k.row_bytes);
        visit(view.v_row(row), view.v.row_bytes);
      }
    }
  };
  for_each_row([&](std::byte* row, size_t bytes) { std::memset(row, ++mark, bytes); });
  for_each_row([&](std::byte* row, size_t bytes) {
    ++mark;
    for (size_t i = 0; i < bytes; ++i) ASSERT_EQ(static_cast<uint8_t>(row[i]), mark);
  });
}

TEST(PagePool, CopiesOnlyTheRowsAskedFor) {
  PagePool pool(kMixed, 2);
  const int32_t from[] = {pool.acquire()};
  const int32_t to[] = {pool.acquire()};
  for (int32_t layer = 0; layer < kMixed.n_layers; ++layer) {
    KvView view = pool.layer_view(layer);
    view.page_table = from;
    for (int64_t row = 0; row < kPageRows; ++row) {
      std::memset(view.k_row(row), static_cast<int>(row + 1), view.k.row_bytes);
      std::memset(view.v_row(row), static_cast<int>(row + 101), view.v.row_bytes);
    }
  }
  pool.copy_rows(from[0], to[0], 5);
  for (int32_t layer = 0; layer < kMixed.n_layers; ++layer) {
    KvView view = pool.layer_view(layer);
    view.page_table = to;
    for (int64_t row = 0; row < kPageRows; ++row) {
      EXPECT_EQ(static_cast<int>(view.k_row(row)[63]), row < 5 ? row + 1 : 0);
      EXPECT_EQ(static_cast<int>(view.v_row(row)[31]), row < 5 ? row + 101 : 0);
    }
  }
}

ErrorCode construction_error(const KvLayout& layout, int64_t n_pages, std::string* message) {
  try {
    PagePool pool(layout, n_pages);
  } catch (const Error& error) {
    *message = error.what();
    return error.code();
  }
  ADD_FAILURE() << "no error";
  return ErrorCode::kIo;
}

TEST(PagePool, RefusesCacheTypesItCannotHold) {
  std::string message;
  EXPECT_EQ(construction_error({1, 1, 32, DType::kQ5_0, DType::kF16}, 1, &message),
            ErrorCode::kUnsupported);
  EXPECT_THAT(message, testing::HasSubstr("K cache of type Q5_0"));
  EXPECT_EQ(construction_error({1, 1, 32, DType::kF16, DType::kQ4_0}, 1, &message),
            ErrorCode::kUnsupported);
  EXPECT_THAT(message, testing::HasSubstr("V cache of type Q4_0"));
  EXPECT_EQ(construction_error({1, 1, 80, DType::kF16, DType::kQ8_0}, 1, &message),
            ErrorCode::kUnsupported);
  EXPECT_THAT(message, testing::HasSubstr("heads of a multiple of 32 elements"));
  EXPECT_EQ(PagePool({2, 3, 64, DType::kQ8_0, DType::kF16}, 1).bytes_per_token(),
            2u * 3 * (2 * 34 + 64 * 2));
}

TEST(PagePool, RefusesSizesBeyondTheMachine) {
  std::string message;
  EXPECT_EQ(construction_error(kMixed, int64_t{1} << 40, &message), ErrorCode::kExhausted);
  EXPECT_THAT(message, testing::HasSubstr("`context_size`"));
  const KvLayout wide = {1 << 20, 1 << 20, 1 << 10, DType::kF32, DType::kF32};
  EXPECT_EQ(construction_error(wide, 1 << 30, &message), ErrorCode::kExhausted);
}

TEST(PagePool, AnEmptyPoolHasNothingToGive) {
  PagePool pool(kMixed, 0);
  EXPECT_EQ(pool.acquire(), -1);
}

}  // namespace
}  // namespace tidal::test
