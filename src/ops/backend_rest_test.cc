// update_block_sums and attend_rest on every back end.

#include "ops/summaries_test_util.h"

namespace tidal::test {
namespace {

constexpr double kTolerance = 5e-5;

class RestTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(RestTest);

// Added in order of position, since the interface promises the same bits for any split.
Floats naive_sums(const TestCache& cache, int64_t end_row, int64_t skip_rows, int32_t block_rows) {
  const HeadShape& shape = cache.shape();
  const auto width = static_cast<size_t>(shape.kv_width());
  const int64_t blocks = (end_row + block_rows - 1) / block_rows;
  Floats sums(static_cast<size_t>(blocks) * 2 * width, 0.0f);
  for (int64_t p = skip_rows; p < end_row; ++p) {
    float* block = sums.data() + static_cast<size_t>(p / block_rows) * 2 * width;
    for (int32_t head = 0; head < shape.n_kv_heads; ++head) {
      const std::vector<float> k = cache.k(p, head), v = cache.v(p, head);
      for (size_t e = 0; e < k.size(); ++e) {
        block[static_cast<size_t>(head) * k.size() + e] += k[e];
        block[width + static_cast<size_t>(head) * k.size() + e] += v[e];
      }
    }
  }
  return sums;
}

TEST_P(RestTest, SumsAreThoseOfTheRowsThatCount) {
  for (const HeadShape& shape : attention_shapes()) {
    const TestCache first(shape, 300, 1), second(shape, 100, 2);
    for (int32_t block_rows : {1, 5, 16, 64, 1000}) {
      for (int n_threads : kThreadCounts) {
        TestSummaries first_sums(first, block_rows), second_sums(second, block_rows);
        const BlockSumsItem items[] = {{first.view(), 0, 290, 7, first_sums.view(290)},
                                       {second.view(), 0, 100, 0, second_sums.view(100)}};
        make(limits_for(shape, 300, 2), n_threads)->update_block_sums(items);
        EXPECT_SAME_BITS(first_sums.values(290), naive_sums(first, 290, 7, block_rows))
            << describe(shape);
        EXPECT_SAME_BITS(second_sums.values(100), naive_sums(second, 100, 0, block_rows))
            << describe(shape);
      }
    }
  }
}

TEST_P(RestTest, SumsGrowRowByRowToTheSameBits) {
  const HeadShape& shape = attention_shapes()[1];
  const TestCache cache(shape, 200, 3);
  const auto backend = make(limits_for(shape, 200));
  for (int32_t block_rows : {5, 16, 40}) {
    TestSummaries sums(cache, block_rows);
    // A block is finished before the next one begins.
    for (int64_t done = 0, end = 0; done < 200; done = end) {
      end = std::min({done + 1 + done % 3, (done / block_rows + 1) * block_rows, int64_t{200}});
      const BlockSumsItem item{cache.view(), done, end, 3, sums.view(end)};
      backend->update_block_sums({&item, 1});
    }
    EXPECT_SAME_BITS(sums.values(200), naive_sums(cache, 200, 3, block_rows)) << block_rows;
  }
}

TEST_P(RestTest, WholeBlocksBeforeTheFirstRowAreLeftAlone) {
  const HeadShape& shape = attention_shapes()[1];
  const TestCache cache(shape, 100, 3);
  TestSummaries sums(cache, 16);
  const BlockSumsItem item{cache.view(), 64, 100, 3, sums.view(100)};
  make(limits_for(shape, 100))->update_block_sums({&item, 1});
  const Floats got = sums.values(100), expected = naive_sums(cache, 100, 3, 16);
  const size_t before = got.size() / 7 * 4;
  EXPECT_SAME_BITS(std::span(got).subspan(before), std::span(expected).subspan(before));
  for (size_t i = 0; i < before; ++i) ASSERT_TRUE(std::isnan(got[i]));
}

// Attention to some rows, then to the blocks of others.
struct Attended {
  Floats out, log_sum_exp;
  RowsRead rows;

  Attended(Backend& backend, const TestCache& cache, const Floats& q,
           const std::vector<int32_t>& rows_one_by_one, const Floats& sums, int64_t end_row,
           int64_t skip_rows, int32_t block_rows)
      : out(q.size(), NAN), log_sum_exp(static_cast<size_t>(cache.shape().n_heads), NAN) {
    const HeadShape& shape = cache.shape();
    const TestSelection selection({rows_one_by_one});
    const AttendItem attend{.q = q.data(),
                            .out = out.data(),
                            .n_heads = shape.n_heads,
                            .first_position = cache.length() - 1,
                            .kv = cache.view(),
                            .selection = &selection.get(),
                            .log_sum_exp = log_sum_exp.data()};
    backend.attend({&attend, 1});
    TestSummaries summaries(cache, block_rows);
    const AttendRestItem rest{q.data(),           out.data(),
                              log_sum_exp.data(), summaries.fill(sums, end_row),
                              shape.n_heads,      shape.n_kv_heads,
                              shape.head_dim,     end_row,
                              skip_rows,          &rows};
    backend.attend_rest({&rest, 1});
  }
};

std::vector<int32_t> sinks_and_last(int64_t skip_rows, int64_t end_row, int64_t length) {
  std::vector<int32_t> rows = first_rows(skip_rows);
  for (int64_t p = end_row; p < length; ++p) rows.push_back(static_cast<int32_t>(p));
  return rows;
}

// A block of one row is that row: together they are attention to everything.
TEST_P(RestTest, BlocksOfOneRowMakeFullAttention) {
  for (const HeadShape& shape : attention_shapes()) {
    const TestCache cache(shape, 150, 4);
    const Floats q = random_normal(static_cast<size_t>(shape.q_width()), 5, 2.0f);
    const auto backend = make(limits_for(shape, 150));
    const Attended got(*backend, cache, q, sinks_and_last(4, 140, 150),
                       naive_sums(cache, 140, 4, 1), 140, 4, 1);
    for (int32_t head = 0; head < shape.n_heads; ++head) {
      const auto naive = naive_attention(cache, head / shape.group(),
                                         q.data() + head * shape.head_dim, first_rows(150));
      const std::span own = std::span(got.out).subspan(static_cast<size_t>(head * shape.head_dim),
                                                       static_cast<size_t>(shape.head_dim));
      EXPECT_LE(relative_error(Floats(own.begin(), own.end()), naive.out), kTolerance)
          << describe(shape) << ", head " << head;
    }
    EXPECT_EQ(got.rows.k, 136 * shape.n_kv_heads);
    EXPECT_EQ(got.rows.v, 136 * shape.n_kv_heads);
  }
}

// By hand: one head, blocks of 4; the mean of a block counts once per row.
TEST_P(RestTest, AMeanCountsAsOftenAsItsBlockHasRows) {
  const HeadShape shape{1, 1, 8, DType::kF32, DType::kF32};
  TestCache cache(shape, 8, 6);
  for (int64_t p = 0; p < 8; ++p) {
    cache.set_k(p, 0, p < 6 ? 0.0f : 1.0f);  // rows 0 to 5 have score 0
    cache.set_v(p, 0, static_cast<float>(p));
  }
  const Floats q(8, 1.0f);
  const auto backend = make(limits_for(shape, 8));
  // Row 0 is read, rows 1 to 3 and 4 to 5 are blocks: 0 + 3 * 2 + 2 * 4.5 = 15 of 6 equal rows.
  const Attended got(*backend, cache, q, {0}, naive_sums(cache, 6, 1, 4), 6, 1, 4);
  for (const float x : got.out) EXPECT_NEAR(x, 15.0f / 6.0f, 1e-5f);
  EXPECT_EQ(got.rows.k, 2);
  EXPECT_EQ(got.rows.v, 2);
}

TEST_P(RestTest, HugeScoresOfBlocksDoNotOverflow) {
  const HeadShape shape{1, 1, 8, DType::kF32, DType::kF32};
  TestCache cache(shape, 33, 7);
  for (int64_t p = 0; p < 33; ++p) {
    cache.set_k(p, 0, p == 32 ? -100.0f : 100.0f);
    cache.set_v(p, 0, p == 32 ? 1.0f : 3.0f);
  }
  const Floats q(8, 10.0f);
  const auto backend = make(limits_for(shape, 33));
  const Attended got(*backend, cache, q, {32}, naive_sums(cache, 32, 0, 16), 32, 0, 16);
  for (const float x : got.out) EXPECT_NEAR(x, 3.0f, 1e-5f);
}

TEST_P(RestTest, AnItemHasTheBitsItHasAloneForAnyNumberOfThreads) {
  const HeadShape& shape = attention_shapes()[1];
  const TestCache cache(shape, 600, 8);
  const Floats q = random_normal(static_cast<size_t>(shape.q_width()), 9);
  const auto one = make(limits_for(shape, 600));
  const Floats sums = naive_sums(cache, 590, 4, 16);
  const Attended alone(*one, cache, q, sinks_and_last(4, 590, 600), sums, 590, 4, 16);
  for (int n_threads : kThreadCounts) {
    const auto backend = make(limits_for(shape, 600, 2), n_threads);
    const Attended again(*backend, cache, q, sinks_and_last(4, 590, 600), sums, 590, 4, 16);
    EXPECT_SAME_BITS(again.out, alone.out) << n_threads << " threads";
  }
}

}  // namespace
}  // namespace tidal::test
