// score, update_page_bounds and score_pages on every back end.

#include "ops/summaries_test_util.h"

namespace tidal::test {
namespace {

constexpr double kTolerance = 5e-5;
constexpr int64_t kLengths[] = {1, 15, 16, 17, 100, 511, 513, 2000};

Floats random_query(const HeadShape& shape, uint32_t seed) {
  return random_normal(static_cast<size_t>(shape.q_width()), seed);
}

// q·k / sqrt(head_dim): [n_heads, length]
std::vector<double> naive_scores(const TestCache& cache, const Floats& q) {
  const HeadShape& shape = cache.shape();
  std::vector<double> scores;
  for (int32_t head = 0; head < shape.n_heads; ++head) {
    const auto naive = naive_attention(
        cache, head / shape.group(), q.data() + head * shape.head_dim, first_rows(cache.length()));
    scores.insert(scores.end(), naive.scores.begin(), naive.scores.end());
  }
  return scores;
}

ScoreItem score_item(const TestCache& cache, const Floats& q, Floats& scores, RowsRead& rows) {
  scores.assign(static_cast<size_t>(cache.shape().n_heads * cache.length()), NAN);
  return {.q = q.data(),
          .n_heads = cache.shape().n_heads,
          .kv = cache.view(),
          .scores = scores.data(),
          .rows = &rows};
}

class ScoreTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(ScoreTest);

TEST_P(ScoreTest, EqualsTheDefinitionAndReadsKOnly) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 2000));
    for (int64_t n : kLengths) {
      TestCache cache(shape, n, static_cast<uint32_t>(n));
      const Floats q = random_query(shape, 1);
      Floats scores;
      RowsRead rows{.k = 3, .v = 5};
      ScoreItem item = score_item(cache, q, scores, rows);
      Floats log_sum_exp(static_cast<size_t>(shape.n_heads), NAN);
      item.log_sum_exp = log_sum_exp.data();
      backend->score({&item, 1});
      for (int32_t h = 0; h < shape.n_heads; ++h) {
        double total = 0.0;
        for (int64_t i = 0; i < n; ++i) {
          total += std::exp(double{scores[static_cast<size_t>(h * n + i)]});
        }
        EXPECT_NEAR(log_sum_exp[static_cast<size_t>(h)], std::log(total), 2e-6 * (1 + std::log(n)))
            << describe(shape) << ", " << n << " rows";
      }
      EXPECT_LE(relative_error(scores, naive_scores(cache, q)), kTolerance)
          << describe(shape) << ", " << n << " rows";
      EXPECT_EQ(rows.k, 3 + n * shape.n_kv_heads);
      EXPECT_EQ(rows.v, 5);
    }
  }
}

TEST_P(ScoreTest, AnItemHasTheBitsItHasAloneForAnyNumberOfThreads) {
  for (const HeadShape& shape : attention_shapes()) {
    std::vector<TestCache> caches;
    for (int64_t n : kLengths) caches.emplace_back(shape, n, static_cast<uint32_t>(n));
    const Floats q = random_query(shape, 2);
    const BackendLimits limits = limits_for(shape, 2000, std::size(kLengths));
    std::vector<Floats> alone(caches.size());
    const auto single = make(limits, 1);
    RowsRead rows;
    for (size_t i = 0; i < caches.size(); ++i) {
      const ScoreItem item = score_item(caches[i], q, alone[i], rows);
      single->score({&item, 1});
    }
    for (int n_threads : kThreadCounts) {
      std::vector<Floats> scores(caches.size());
      std::vector<ScoreItem> items;
      for (size_t i = 0; i < caches.size(); ++i) {
        items.push_back(score_item(caches[i], q, scores[i], rows));
      }
      make(limits, n_threads)->score(items);
      for (size_t i = 0; i < caches.size(); ++i) {
        EXPECT_SAME_BITS(scores[i], alone[i]) << describe(shape) << ", " << n_threads << " threads";
      }
    }
  }
}

// A row's score does not depend on its position or on how many others there are.
TEST_P(ScoreTest, ScoresOfAPrefixAreAPrefixOfTheScores) {
  for (const HeadShape& shape : attention_shapes()) {
    const TestCache cache(shape, 600, 3);
    const Floats q = random_query(shape, 3);
    const auto backend = make(limits_for(shape, 600));
    Floats all, some;
    RowsRead rows;
    ScoreItem item = score_item(cache, q, all, rows);
    backend->score({&item, 1});
    for (int64_t n : {1, 13, 16, 255, 599}) {
      some.assign(static_cast<size_t>(shape.n_heads * n), NAN);
      item.kv = cache.view(n);
      item.scores = some.data();
      backend->score({&item, 1});
      for (int32_t head = 0; head < shape.n_heads; ++head) {
        const auto part = [head](const Floats& scores, int64_t length, int64_t count) {
          return std::span(scores).subspan(static_cast<size_t>(head * length),
                                           static_cast<size_t>(count));
        };
        ASSERT_SAME_BITS(part(some, n, n), part(all, 600, n)) << describe(shape) << ", " << n;
      }
    }
  }
}

size_t page_count(int64_t n, int32_t page_rows) {
  return static_cast<size_t>((n + page_rows - 1) / page_rows);
}

// [pages, 2 (min, max), n_kv_heads, head_dim]
Floats naive_bounds(const TestCache& cache, int32_t page_rows) {
  const HeadShape& shape = cache.shape();
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  const auto width = static_cast<size_t>(shape.kv_width());
  Floats bounds(page_count(cache.length(), page_rows) * 2 * width);
  for (int64_t p = 0; p < cache.length(); ++p) {
    float* page = bounds.data() + static_cast<size_t>(p / page_rows) * 2 * width;
    for (int32_t head = 0; head < shape.n_kv_heads; ++head) {
      const std::vector<float> k = cache.k(p, head);
      for (size_t e = 0; e < head_dim; ++e) {
        const size_t i = static_cast<size_t>(head) * head_dim + e;
        page[i] = p % page_rows == 0 ? k[e] : std::min(page[i], k[e]);
        page[width + i] = p % page_rows == 0 ? k[e] : std::max(page[width + i], k[e]);
      }
    }
  }
  return bounds;
}

class PageTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(PageTest);

TEST_P(PageTest, BoundsAreTheSmallestAndLargestOfEachPage) {
  for (const HeadShape& shape : attention_shapes()) {
    const TestCache first(shape, 513, 1), second(shape, 100, 2);
    for (int32_t page_rows : {16, 8, 64, 5}) {
      const Floats first_expected = naive_bounds(first, page_rows);
      const Floats second_expected = naive_bounds(second, page_rows);
      for (int n_threads : kThreadCounts) {
        TestSummaries first_bounds(first, page_rows), second_bounds(second, page_rows);
        const PageBoundsItem items[] = {{first.view(), 0, first_bounds.view(513)},
                                        {second.view(), 0, second_bounds.view(100)}};
        make(limits_for(shape, 513, 2), n_threads)->update_page_bounds(items);
        EXPECT_SAME_BITS(first_bounds.values(513), first_expected) << describe(shape);
        EXPECT_SAME_BITS(second_bounds.values(100), second_expected) << describe(shape);
      }
    }
  }
}

TEST_P(PageTest, BoundsGrowRowByRow) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 120));
    const TestCache cache(shape, 120, 3);
    TestSummaries bounds(cache, 16);
    for (int64_t n = 40; n <= 120; n += n < 90 ? 1 : 7) {
      const int64_t first = n == 40 ? 0 : n < 92 ? n - 1 : n - 7;
      const PageBoundsItem item{cache.view(n), first, bounds.view(n)};
      backend->update_page_bounds({&item, 1});
    }
    const PageBoundsItem last{cache.view(), 112, bounds.view(120)};
    backend->update_page_bounds({&last, 1});
    EXPECT_SAME_BITS(bounds.values(120), naive_bounds(cache, 16)) << describe(shape);
  }
}

// After rows were rewritten: their pages are recomputed, those before unchanged.
TEST_P(PageTest, BoundsFollowRewrittenRows) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 100));
    TestCache cache(shape, 100, 4);
    TestSummaries summaries(cache, 16);
    const SummaryView view = summaries.fill(naive_bounds(cache, 16), 100);
    const auto page = static_cast<size_t>(2 * shape.kv_width());
    view.block(0)[0] = 123.0f;  // must not be touched
    for (int64_t p = 37; p < 100; ++p) cache.set_k(p, 0, 0.25f);
    const PageBoundsItem item{cache.view(), 37, view};
    backend->update_page_bounds({&item, 1});
    const Floats bounds = summaries.values(100), expected = naive_bounds(cache, 16);
    EXPECT_EQ(bounds[0], 123.0f);
    EXPECT_SAME_BITS(std::span(bounds).subspan(page), std::span(expected).subspan(page))
        << describe(shape);
  }
}

ScorePagesItem pages_item(const HeadShape& shape, int64_t n, const Floats& q,
                          const SummaryView& bounds, Floats& scores, RowsRead& rows) {
  const size_t n_pages = page_count(n, bounds.block_rows);
  scores.assign(static_cast<size_t>(shape.n_heads) * n_pages, NAN);
  return {.q = q.data(),
          .bounds = bounds,
          .n_heads = shape.n_heads,
          .n_kv_heads = shape.n_kv_heads,
          .head_dim = shape.head_dim,
          .n_pages = static_cast<int64_t>(n_pages),
          .scores = scores.data(),
          .rows = &rows};
}

// [n_heads, n_pages]
std::vector<double> naive_page_scores(const HeadShape& shape, const Floats& q,
                                      const Floats& bounds) {
  std::vector<double> scores;
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  const auto width = static_cast<size_t>(shape.kv_width());
  for (int32_t head = 0; head < shape.n_heads; ++head) {
    for (size_t page = 0; page < bounds.size(); page += 2 * width) {
      const float* low =
          bounds.data() + page + static_cast<size_t>(head / shape.group()) * head_dim;
      double sum = 0.0;
      for (size_t e = 0; e < head_dim; ++e) {
        const double element = double{q[static_cast<size_t>(head) * head_dim + e]};
        sum += std::max(element * double{low[e]}, element * double{low[width + e]});
      }
      scores.push_back(sum / std::sqrt(static_cast<double>(shape.head_dim)));
    }
  }
  return scores;
}

TEST_P(PageTest, ScoresBoundEveryRowOfThePage) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 2000));
    for (int64_t n : kLengths) {
      const TestCache cache(shape, n, static_cast<uint32_t>(n));
      const Floats q = random_query(shape, 5), bounds = naive_bounds(cache, 16);
      TestSummaries summaries(cache, 16);
      Floats scores;
      RowsRead rows{.k = 3, .v = 5};
      const ScorePagesItem item = pages_item(shape, n, q, summaries.fill(bounds, n), scores, rows);
      backend->score_pages({&item, 1});
      EXPECT_LE(relative_error(scores, naive_page_scores(shape, q, bounds)), kTolerance)
          << describe(shape) << ", " << n << " rows";
      EXPECT_EQ(rows.k, 3 + 2 * item.n_pages * shape.n_kv_heads);
      EXPECT_EQ(rows.v, 5);
      const std::vector<double> exact = naive_scores(cache, q);
      for (size_t i = 0; i < exact.size(); ++i) {
        const size_t head = i / static_cast<size_t>(n), row = i % static_cast<size_t>(n);
        const size_t page = head * static_cast<size_t>(item.n_pages) + row / 16;
        ASSERT_GE(double{scores[page]}, exact[i] - kTolerance) << describe(shape);
      }
    }
  }
}

TEST_P(PageTest, ScoresOfAnItemHaveTheBitsTheyHaveAloneForAnyNumberOfThreads) {
  for (const HeadShape& shape : attention_shapes()) {
    const Floats q = random_query(shape, 6);
    const BackendLimits limits = limits_for(shape, 2000, std::size(kLengths));
    std::vector<TestCache> caches;
    std::vector<TestSummaries> bounds;
    std::vector<Floats> alone(std::size(kLengths));
    caches.reserve(alone.size());
    for (int64_t n : kLengths) {
      caches.emplace_back(shape, n, static_cast<uint32_t>(n));
      bounds.emplace_back(caches.back(), 16).fill(naive_bounds(caches.back(), 16), n);
    }
    RowsRead rows;
    const auto single = make(limits, 1);
    const auto item_of = [&](size_t i, Floats& scores) {
      return pages_item(shape, kLengths[i], q, bounds[i].view(kLengths[i]), scores, rows);
    };
    for (size_t i = 0; i < bounds.size(); ++i) {
      const ScorePagesItem item = item_of(i, alone[i]);
      single->score_pages({&item, 1});
    }
    for (int n_threads : kThreadCounts) {
      std::vector<Floats> scores(bounds.size());
      std::vector<ScorePagesItem> items;
      for (size_t i = 0; i < bounds.size(); ++i) {
        items.push_back(item_of(i, scores[i]));
      }
      make(limits, n_threads)->score_pages(items);
      for (size_t i = 0; i < bounds.size(); ++i) {
        EXPECT_SAME_BITS(scores[i], alone[i]) << describe(shape) << ", " << n_threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace tidal::test
