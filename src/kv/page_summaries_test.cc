// Summaries beside pages: shared by forks, invalid once rows are rewritten or pages given back.

#include "kv/page_summaries.h"

#include <gtest/gtest.h>

#include <map>
#include <random>

#include "kv/sequence_kv.h"
#include "kv/sequence_summaries.h"
#include "ops/reference/reference_backend.h"

namespace tidal::test {
namespace {

constexpr int32_t kWidth = 8;
constexpr KvLayout kLayout = {2, 1, kWidth, DType::kF32, DType::kF32};
constexpr int64_t kMaxLength = 200;

void write_row(const SequenceKv& kv, int64_t position, float value) {
  for (int32_t layer = 0; layer < kLayout.n_layers; ++layer) {
    const KvView view = kv.view(layer);
    for (int32_t e = 0; e < kWidth; ++e) {
      reinterpret_cast<float*>(view.k_row(position))[e] = value + static_cast<float>(layer);
      reinterpret_cast<float*>(view.v_row(position))[e] = 2 * value;
    }
  }
}

// A sequence of rows with its sums and bounds, which are brought up to date and compared with
// values computed from the rows themselves.
class Summarised {
 public:
  Summarised(PagePool& pool, const SummarySpec& spec) : kv(pool, kMaxLength), own(pool, spec) {}

  void append(int64_t n_rows, float first_value) {
    ASSERT_TRUE(kv.grow(n_rows));
    for (int64_t i = kv.length() - n_rows; i < kv.length(); ++i) {
      write_row(kv, i, first_value + 0.37f * static_cast<float>(i));
    }
  }
  void truncate(int64_t length) {
    kv.truncate(length);
    own.truncate(length);
  }
  Summarised fork() const { return {kv.fork(), own.clone()}; }
  // The rows alone, for a sequence that starts with them.
  Summarised fork_rows() const { return {kv.fork(), {kv.pool(), own.spec()}}; }

  // Returns how many rows had to be read.
  int64_t update(int64_t end_row, int32_t layer = 0) {
    KvView view = kv.view(layer);
    view.length = end_row;
    const SequenceSummaries::Extent extent = own.extend(layer, view, end_row);
    if (own.spec().kind == SummaryKind::kSums) {
      const BlockSumsItem item{view, extent.first_row, end_row, own.spec().skip_rows, extent.view};
      if (extent.first_row < end_row) backend_->update_block_sums({&item, 1});
    } else {
      const PageBoundsItem item{view, extent.first_row, extent.view};
      if (extent.first_row < end_row) backend_->update_page_bounds({&item, 1});
    }
    for (int64_t first = 0; first < end_row; first += own.spec().block_rows) {
      const float* got = extent.view.block(first / own.spec().block_rows);
      const int64_t end = std::min(first + own.spec().block_rows, end_row);
      for (size_t e = 0; e < 2 * kWidth; ++e) {
        EXPECT_EQ(got[e], expected(view, first, end, e))
            << "block at " << first << " of " << end_row;
      }
    }
    return end_row - extent.first_row;
  }

  Summarised(SequenceKv rows, SequenceSummaries summaries)
      : kv(std::move(rows)), own(std::move(summaries)) {}

  SequenceKv kv;
  SequenceSummaries own;

 private:
  float expected(const KvView& view, int64_t first, int64_t end, size_t e) const {
    const bool second = e >= kWidth;  // V, or the maximum
    float sum = 0, least = INFINITY, most = -INFINITY;
    for (int64_t p = std::max(first, own.spec().skip_rows); p < end; ++p) {
      const float k = reinterpret_cast<const float*>(view.k_row(p))[e % kWidth];
      const float v = reinterpret_cast<const float*>(view.v_row(p))[e % kWidth];
      sum += second ? v : k;
      least = std::min(least, k);
      most = std::max(most, k);
    }
    return own.spec().kind == SummaryKind::kSums ? sum : second ? most : least;
  }

  std::unique_ptr<Backend> backend_ = make_reference_backend();
};

constexpr SummarySpec kSums16 = {SummaryKind::kSums, 16, 0};

TEST(PageSummaries, AForkReadsNothingAgain) {
  PagePool pool(kLayout, 32);
  Summarised first(pool, kSums16);
  first.append(100, 1);
  EXPECT_EQ(first.update(100), 100);
  Summarised second = first.fork();
  EXPECT_EQ(second.update(100), 0);
  Summarised third = first.fork_rows();
  EXPECT_EQ(third.update(100), 4) << "the block that is not complete";
}

// A prompt whose rows lie on pages of two sequences; only the second was summarised.
TEST(PageSummaries, PagesOfSeveralSequencesMayFollowEachOther) {
  for (const int32_t block_rows : {4, 16, 24}) {
    PagePool pool(kLayout, 32);
    const SummarySpec spec = {SummaryKind::kSums, block_rows, 0};
    Summarised first(pool, spec), second(pool, spec);
    first.append(96, 1);
    second.append(96, 1);
    second.update(96);
    std::vector<int32_t> pages(first.kv.pages().begin(), first.kv.pages().begin() + 3);
    pages.insert(pages.end(), second.kv.pages().begin() + 3, second.kv.pages().end());
    Summarised mixed(SequenceKv(pool, kMaxLength, pages), {pool, spec});
    EXPECT_EQ(mixed.update(96), 96) << block_rows;
    EXPECT_EQ(mixed.update(96), 0);
    EXPECT_EQ(second.update(96), 0) << "what it knew to be made still is";
  }
}

TEST(PageSummaries, RowsWrittenAnewAreReadAgain) {
  PagePool pool(kLayout, 32);
  Summarised sequence(pool, kSums16);
  sequence.append(100, 1);
  sequence.update(100);
  sequence.truncate(70);
  EXPECT_EQ(sequence.update(70), 6) << "the block that lost rows";
  sequence.append(30, 5);
  EXPECT_EQ(sequence.update(100), 36) << "from that block on";
  sequence.truncate(40);
  sequence.append(1, 9);
  EXPECT_EQ(sequence.update(41), 9);
}

// Blocks of 4 rows: some complete ones lie in pages that are not full.
TEST(PageSummaries, ACopyOnWriteTakesThemAlongAndThenGoesItsOwnWay) {
  PagePool pool(kLayout, 32);
  Summarised first(pool, {SummaryKind::kBounds, 4, 0});
  first.append(28, 1);
  EXPECT_EQ(first.update(28), 28);
  Summarised second = first.fork();
  second.truncate(26);
  second.append(2, 50);
  EXPECT_EQ(second.update(28), 4) << "blocks before the rewritten one were copied";
  EXPECT_EQ(first.update(28), 0) << "the first keeps its own";
}

TEST(PageSummaries, APageThatWasSharedIsVoidFromWhereItsLastOwnerWrites) {
  PagePool pool(kLayout, 32);
  auto first = std::make_unique<Summarised>(pool, SummarySpec{SummaryKind::kBounds, 4, 0});
  first->append(32, 1);
  first->update(32);
  Summarised second = first->fork_rows();
  second.truncate(24);
  first.reset();
  second.append(8, 50);
  EXPECT_EQ(second.update(32), 8);
}

TEST(PageSummaries, AReleasedPageIsVoid) {
  PagePool pool(kLayout, 4);
  for (float value : {1.0f, 2.0f}) {
    Summarised sequence(pool, kSums16);
    sequence.append(64, value);
    EXPECT_EQ(sequence.update(64, 0), 64);
    EXPECT_EQ(sequence.update(64, 1), 64);
  }
}

TEST(PageSummaries, LayersAreMadeOneByOne) {
  PagePool pool(kLayout, 8);
  Summarised sequence(pool, kSums16);
  sequence.append(40, 1);
  EXPECT_EQ(sequence.update(40, 0), 40);
  EXPECT_EQ(sequence.update(40, 1), 40);
  EXPECT_EQ(sequence.update(40, 0), 0);
}

TEST(PageSummaries, LongBlocksTakeMemoryOnlyWhereTheyEnd) {
  PagePool pool(kLayout, 16);
  Summarised sequence(pool, {SummaryKind::kSums, 64, 0});
  sequence.append(200, 1);
  sequence.update(200);
  const SummaryView view = pool.summaries({SummaryKind::kSums, 64, 0})->view(0, nullptr, 0);
  const std::vector<int32_t> slots(view.slots, view.slots + 16);
  EXPECT_EQ(std::count(slots.begin(), slots.end(), -1), 13);
  EXPECT_EQ(*std::max_element(slots.begin(), slots.end()), 2);
}

TEST(PageSummaries, OnesOfAKindAreSharedAndKeptForTheNext) {
  PagePool pool(kLayout, 4);
  const SummarySpec specs[] = {{SummaryKind::kSums, 16, 0},
                               {SummaryKind::kSums, 16, 4},
                               {SummaryKind::kSums, 32, 0},
                               {SummaryKind::kBounds, 16, 0},
                               {SummaryKind::kBounds, 8, 0}};
  const auto held = pool.summaries(specs[0]);
  EXPECT_EQ(held, pool.summaries(specs[0]));
  std::map<int, std::weak_ptr<PageSummaries>> idle;
  for (int i = 1; i < 5; ++i) idle[i] = pool.summaries(specs[i]);
  EXPECT_TRUE(idle[1].expired()) << "unheld, and two were asked for since";
  EXPECT_EQ(pool.summaries(specs[2]), idle[2].lock());
  EXPECT_EQ(pool.summaries(specs[0]), held);
}

// Random growth, rewriting, forks and destruction of sequences that read different numbers of rows.
class PageSummariesRandom : public testing::TestWithParam<SummarySpec> {};

TEST_P(PageSummariesRandom, AreAlwaysThoseOfTheRows) {
  std::mt19937 random(7);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  PagePool pool(kLayout, 30);
  std::vector<std::unique_ptr<Summarised>> sequences;
  for (int step = 0; step < 1500 && !testing::Test::HasFailure(); ++step) {
    const int64_t action = sequences.empty() ? 0 : below(12);
    const auto chosen = static_cast<size_t>(sequences.empty() ? 0 : below(std::ssize(sequences)));
    if (action == 0 && sequences.size() < 5) {
      sequences.push_back(std::make_unique<Summarised>(pool, GetParam()));
    } else if (action == 1 && sequences.size() < 5) {
      sequences.push_back(std::make_unique<Summarised>(sequences[chosen]->fork()));
    } else if (action == 2) {
      std::swap(sequences[chosen], sequences.back());
      sequences.pop_back();
    } else if (!sequences.empty()) {
      Summarised& one = *sequences[chosen];
      if (action == 3) one.truncate(below(one.kv.length() + 1));
      const int64_t n = action < 9 ? below(4) : below(60);
      const bool fits =
          one.kv.length() + n <= kMaxLength && one.kv.pages_needed(n) <= pool.free_pages();
      if (fits) one.append(n, static_cast<float>(below(100)));
      one.update(below(4) == 0 ? below(one.kv.length() + 1) : one.kv.length(), 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, PageSummariesRandom,
    testing::Values(SummarySpec{SummaryKind::kSums, 1, 0}, SummarySpec{SummaryKind::kSums, 5, 3},
                    SummarySpec{SummaryKind::kSums, 8, 0}, SummarySpec{SummaryKind::kSums, 16, 20},
                    SummarySpec{SummaryKind::kSums, 23, 0}, SummarySpec{SummaryKind::kSums, 64, 4},
                    SummarySpec{SummaryKind::kBounds, 7, 0},
                    SummarySpec{SummaryKind::kBounds, 16, 0}));

}  // namespace
}  // namespace tidal::test
