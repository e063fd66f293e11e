#include "kv/sequence_kv.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <memory>
#include <random>
#include <vector>

namespace tidal::test {
namespace {

constexpr KvLayout kLayout = {2, 1, 8, DType::kF32, DType::kF16};

// Marks row `position` with a value in every layer and plane, and reads it back.
void write_row(const SequenceKv& kv, int64_t position, uint16_t value) {
  for (int32_t layer = 0; layer < kLayout.n_layers; ++layer) {
    const KvView view = kv.view(layer);
    const auto mark = static_cast<uint16_t>(value + layer);
    for (size_t i = 0; i < view.k.row_bytes; i += 2) {
      std::memcpy(view.k_row(position) + i, &mark, 2);
    }
    for (size_t i = 0; i < view.v.row_bytes; i += 2) {
      std::memcpy(view.v_row(position) + i, &mark, 2);
    }
  }
}

uint16_t read_row(const SequenceKv& kv, int64_t position) {
  uint16_t value = 0;
  std::memcpy(&value, kv.view(0).k_row(position), 2);
  for (int32_t layer = 0; layer < kLayout.n_layers; ++layer) {
    const KvView view = kv.view(layer);
    const auto check = [&](const std::byte* row, size_t bytes) {
      for (size_t i = 0; i < bytes; i += 2) {
        uint16_t mark = 0;
        std::memcpy(&mark, row + i, 2);
        EXPECT_EQ(mark, static_cast<uint16_t>(value + layer)) << "row " << position;
      }
    };
    check(view.k_row(position), view.k.row_bytes);
    check(view.v_row(position), view.v.row_bytes);
  }
  return value;
}

TEST(SequenceKv, GrowsPageByPage) {
  PagePool pool(kLayout, 4);
  SequenceKv kv(pool, 64);
  EXPECT_EQ(kv.length(), 0);
  EXPECT_EQ(kv.max_length(), 64);
  EXPECT_EQ(kv.pages_needed(0), 0);
  EXPECT_EQ(kv.pages_needed(1), 1);
  EXPECT_EQ(kv.pages_needed(17), 2);
  ASSERT_TRUE(kv.grow(16));
  EXPECT_EQ(pool.free_pages(), 3);
  EXPECT_EQ(kv.pages_needed(1), 1);
  ASSERT_TRUE(kv.grow(1));
  EXPECT_EQ(kv.pages_needed(15), 0);
  EXPECT_EQ(kv.view(1).length, 17);
  EXPECT_EQ(pool.free_pages(), 2);
}

TEST(SequenceKv, RefusesToPassMaxLengthOrThePoolAndChangesNothing) {
  PagePool pool(kLayout, 2);
  SequenceKv kv(pool, 40);
  EXPECT_FALSE(kv.grow(41));
  EXPECT_FALSE(kv.grow(33)) << "three pages, the pool has two";
  EXPECT_EQ(kv.length(), 0);
  EXPECT_EQ(pool.free_pages(), 2);
  ASSERT_TRUE(kv.grow(32));
  EXPECT_FALSE(kv.grow(1));
  EXPECT_EQ(kv.length(), 32);
  EXPECT_EQ(pool.free_pages(), 0);
}

TEST(SequenceKv, AFailedCopyOnWriteChangesNothing) {
  PagePool pool(kLayout, 1);
  SequenceKv kv(pool, 16);
  ASSERT_TRUE(kv.grow(3));
  for (int64_t i = 0; i < 3; ++i) write_row(kv, i, static_cast<uint16_t>(10 + i));
  SequenceKv fork = kv.fork();
  EXPECT_EQ(fork.pages_needed(1), 1) << "the copy";
  EXPECT_FALSE(fork.grow(1));
  EXPECT_EQ(fork.length(), 3);
  for (int64_t i = 0; i < 3; ++i) EXPECT_EQ(read_row(fork, i), 10 + i);
  fork.truncate(0);
  EXPECT_EQ(kv.pages_needed(1), 0) << "no longer shared";
  EXPECT_TRUE(kv.grow(1));
}

TEST(SequenceKv, ForksShareUntilEitherWrites) {
  PagePool pool(kLayout, 8);
  SequenceKv kv(pool, 64);
  ASSERT_TRUE(kv.grow(20));
  for (int64_t i = 0; i < 20; ++i) write_row(kv, i, static_cast<uint16_t>(100 + i));
  SequenceKv fork = kv.fork();
  EXPECT_EQ(fork.length(), 20);
  EXPECT_EQ(fork.max_length(), 64);
  EXPECT_EQ(pool.free_pages(), 6) << "nothing copied yet";
  ASSERT_TRUE(fork.grow(1));
  EXPECT_EQ(pool.free_pages(), 5) << "one page copied";
  write_row(fork, 20, 999);
  ASSERT_TRUE(kv.grow(1));
  EXPECT_EQ(pool.free_pages(), 5) << "the original is now the only owner of its last page";
  write_row(kv, 20, 555);
  EXPECT_EQ(read_row(fork, 20), 999);
  EXPECT_EQ(read_row(kv, 20), 555);
  for (int64_t i = 0; i < 20; ++i) EXPECT_EQ(read_row(fork, i), 100 + i);
}

TEST(SequenceKv, AForkThatEndsOnAPageBoundaryCopiesNothing) {
  PagePool pool(kLayout, 3);
  SequenceKv kv(pool, 64);
  ASSERT_TRUE(kv.grow(16));
  SequenceKv fork = kv.fork();
  EXPECT_EQ(fork.pages_needed(1), 1);
  ASSERT_TRUE(fork.grow(1));
  EXPECT_EQ(pool.free_pages(), 1);
}

// KV cache correction: rows are rewritten after a truncation; a fork must not see it.
TEST(SequenceKv, RewritingRowsOfASharedPageLeavesTheForkAlone) {
  PagePool pool(kLayout, 8);
  SequenceKv kv(pool, 64);
  ASSERT_TRUE(kv.grow(32));
  for (int64_t i = 0; i < 32; ++i) write_row(kv, i, static_cast<uint16_t>(i));
  SequenceKv fork = kv.fork();
  kv.truncate(10);
  ASSERT_TRUE(kv.grow(22));
  for (int64_t i = 10; i < 32; ++i) write_row(kv, i, static_cast<uint16_t>(1000 + i));
  for (int64_t i = 0; i < 32; ++i) EXPECT_EQ(read_row(fork, i), i);
  for (int64_t i = 0; i < 10; ++i) EXPECT_EQ(read_row(kv, i), i);
  for (int64_t i = 10; i < 32; ++i) EXPECT_EQ(read_row(kv, i), 1000 + i);
}

TEST(SequenceKv, GivesPagesBackWhenTruncatedMovedFromAndDestroyed) {
  PagePool pool(kLayout, 4);
  {
    SequenceKv kv(pool, 64);
    ASSERT_TRUE(kv.grow(50));
    kv.truncate(17);
    EXPECT_EQ(pool.free_pages(), 2);
    kv.truncate(16);
    EXPECT_EQ(pool.free_pages(), 3);
    SequenceKv moved(std::move(kv));
    EXPECT_EQ(moved.length(), 16);
    EXPECT_EQ(pool.free_pages(), 3);
  }
  EXPECT_EQ(pool.free_pages(), 4);
}

TEST(SequenceKv, ThePageTableStaysWhereItIs) {
  PagePool pool(kLayout, 64);
  SequenceKv kv(pool, 1024);
  ASSERT_TRUE(kv.grow(1));
  const int32_t* table = kv.view(0).page_table;
  ASSERT_TRUE(kv.grow(1023));
  EXPECT_EQ(kv.view(0).page_table, table);
}

TEST(SequenceKvDeathTest, TruncatingBeyondTheLengthAborts) {
  PagePool pool(kLayout, 2);
  SequenceKv kv(pool, 32);
  ASSERT_TRUE(kv.grow(4));
  EXPECT_DEATH(kv.truncate(5), "cannot truncate 4 rows to 5");
  EXPECT_DEATH(kv.truncate(-1), "cannot truncate");
}

// Random growth, truncation, forks and destruction against plain vectors of row values.
class SequenceKvRandom : public testing::TestWithParam<uint32_t> {};

TEST_P(SequenceKvRandom, BehavesLikeAVector) {
  constexpr int64_t kPages = 24;
  constexpr int64_t kMaxLength = 150;
  struct Modelled {
    std::unique_ptr<SequenceKv> kv;
    std::vector<uint16_t> rows;
  };
  std::mt19937 random(GetParam());
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  PagePool pool(kLayout, kPages);
  std::vector<Modelled> sequences;
  for (int step = 0; step < 3000; ++step) {
    const int64_t action = sequences.empty() ? 0 : below(10);
    Modelled* chosen =
        sequences.empty() ? nullptr : &sequences[static_cast<size_t>(below(sequences.size()))];
    if (action == 0 && sequences.size() < 8) {
      sequences.push_back({std::make_unique<SequenceKv>(pool, kMaxLength), {}});
    } else if (action == 1 && sequences.size() < 8) {
      Modelled fork{std::make_unique<SequenceKv>(chosen->kv->fork()), chosen->rows};
      sequences.push_back(std::move(fork));
    } else if (action == 2) {
      std::swap(*chosen, sequences.back());
      sequences.pop_back();
    } else if (action == 3 && chosen != nullptr) {
      const int64_t length = below(chosen->kv->length() + 1);
      chosen->kv->truncate(length);
      chosen->rows.resize(static_cast<size_t>(length));
    } else if (chosen != nullptr) {
      const int64_t n = below(action < 7 ? 4 : 60);
      const int64_t needed = chosen->kv->pages_needed(n);
      const int64_t before = pool.free_pages();
      const int64_t length = chosen->kv->length();
      const bool fits = length + n <= kMaxLength && needed <= before;
      ASSERT_EQ(chosen->kv->grow(n), fits);
      ASSERT_EQ(pool.free_pages(), fits ? before - needed : before);
      for (int64_t i = 0; fits && i < n; ++i) {
        const auto value = static_cast<uint16_t>(random());
        write_row(*chosen->kv, length + i, value);
        chosen->rows.push_back(value);
      }
    }
    // All sequences, now and then: a write must not show up in another one.
    for (const Modelled& sequence : sequences) {
      ASSERT_EQ(sequence.kv->length(), static_cast<int64_t>(sequence.rows.size()));
      for (size_t i = step % 8; i < sequence.rows.size(); i += 8) {
        ASSERT_EQ(read_row(*sequence.kv, static_cast<int64_t>(i)), sequence.rows[i]);
      }
    }
    std::map<int32_t, int> owners;
    for (const Modelled& sequence : sequences) {
      const KvView view = sequence.kv->view(0);
      for (int64_t i = 0; i * kPageRows < view.length; ++i) ++owners[view.page_table[i]];
    }
    ASSERT_EQ(pool.free_pages(), kPages - static_cast<int64_t>(owners.size()));
    for (const auto& [page, count] : owners) ASSERT_EQ(pool.is_shared(page), count > 1);
  }
  sequences.clear();
  EXPECT_EQ(pool.free_pages(), kPages);
}

INSTANTIATE_TEST_SUITE_P(Seeds, SequenceKvRandom, testing::Values(1, 2, 3));

}  // namespace
}  // namespace tidal::test
