// attend on every back end, without selections: values, chunks, and what its bits may depend on.

#include "ops/attention_test_util.h"

namespace tidal::test {
namespace {

using enum AttendKind;

constexpr double kTolerance = 5e-5;
constexpr int64_t kLengths[] = {1, 15, 16, 17, 64, 511, 513, 2000};

// One item of a call with everything it may return, and memory for that.
struct Query {
  const TestCache* cache;
  AttendKind kind;
  int64_t first_position;
  int32_t n_queries;
  Floats q, out, scores, log_sum_exp;
  RowsRead rows{.k = 7, .v = 11};  // added to, not set

  Query(const TestCache& test_cache, AttendKind its_kind, int64_t position, int32_t queries,
        uint32_t seed)
      : cache(&test_cache), kind(its_kind), first_position(position), n_queries(queries) {
    const HeadShape& shape = cache->shape();
    const auto n = static_cast<size_t>(queries);
    q = random_normal(n * static_cast<size_t>(shape.q_width()), seed);
    out.assign(q.size(), NAN);
    log_sum_exp.assign(n * static_cast<size_t>(shape.n_heads), NAN);
    if (kind == kStep && queries == 1) {
      scores.assign(static_cast<size_t>(shape.n_heads * (position + 1)), NAN);
    }
  }

  // Queries [begin, begin + n) as an item of their own.
  Query part(int32_t begin, int32_t n) const {
    Query result(*cache, kind, first_position + begin, n, 0);
    const int64_t width = cache->shape().q_width();
    std::copy_n(q.begin() + begin * width, n * width, result.q.begin());
    return result;
  }

  AttendItem item() {
    return {.kind = kind,
            .q = q.data(),
            .out = out.data(),
            .n_queries = n_queries,
            .n_heads = cache->shape().n_heads,
            .first_position = first_position,
            .kv = cache->view(),
            .scores = scores.empty() ? nullptr : scores.data(),
            .log_sum_exp = log_sum_exp.data(),
            .rows = &rows};
  }
};

void attend(Backend& backend, std::vector<Query>& queries) {
  std::vector<AttendItem> items;
  for (Query& query : queries) items.push_back(query.item());
  backend.attend(items);
}

void expect_same_bits(const Query& a, const Query& b) {
  EXPECT_SAME_BITS(a.out, b.out);
  EXPECT_SAME_BITS(a.scores, b.scores);
  EXPECT_SAME_BITS(a.log_sum_exp, b.log_sum_exp);
}

// Expects queries [begin, ...) of `whole` to equal those of `part`.
void expect_part(const Query& whole, int32_t begin, const Query& part) {
  const HeadShape& shape = whole.cache->shape();
  const auto out = std::span(whole.out).subspan(static_cast<size_t>(begin * shape.q_width()));
  const auto sums =
      std::span(whole.log_sum_exp).subspan(static_cast<size_t>(begin * shape.n_heads));
  ASSERT_SAME_BITS(part.out, out.first(part.out.size()))
      << describe(shape) << ", query " << begin << " of " << whole.n_queries << " from "
      << whole.first_position;
  ASSERT_SAME_BITS(part.log_sum_exp, sums.first(part.log_sum_exp.size()));
}

void expect_naive(const Query& query) {
  const HeadShape& shape = query.cache->shape();
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  for (int32_t i = 0; i < query.n_queries; ++i) {
    const std::vector<int32_t> rows = first_rows(query.first_position + i + 1);
    for (int32_t head = 0; head < shape.n_heads; ++head) {
      const auto index = static_cast<size_t>(i * shape.n_heads + head);
      const NaiveAttention naive = naive_attention(*query.cache, head / shape.group(),
                                                   query.q.data() + index * head_dim, rows);
      ASSERT_LE(relative_error({query.out.data() + index * head_dim, head_dim}, naive.out),
                kTolerance)
          << describe(shape) << ", " << rows.size() << " rows, head " << head;
      ASSERT_NEAR(query.log_sum_exp[index], naive.log_sum_exp, kTolerance);
      if (query.scores.empty()) continue;
      for (size_t p = 0; p < rows.size(); ++p) {
        ASSERT_NEAR(query.scores[static_cast<size_t>(head) * rows.size() + p], naive.scores[p],
                    kTolerance)
            << describe(shape) << ", head " << head << ", row " << p;
      }
    }
  }
}

class AttendTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(AttendTest);

TEST_P(AttendTest, EqualsTheDefinition) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 2000, std::size(kLengths)));
    std::vector<TestCache> caches;
    for (int64_t n : kLengths) caches.emplace_back(shape, n, static_cast<uint32_t>(n));
    std::vector<Query> queries;
    for (const TestCache& cache : caches)
      queries.emplace_back(cache, kStep, cache.length() - 1, 1, 1);
    attend(*backend, queries);
    for (const Query& query : queries) {
      expect_naive(query);
      const int64_t rows = query.cache->length() * shape.n_kv_heads;
      EXPECT_EQ(query.rows.k, 7 + rows) << describe(shape);
      EXPECT_EQ(query.rows.v, 11 + rows) << describe(shape);
    }
  }
}

TEST_P(AttendTest, LooksNoFurtherThanItsPosition) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 600));
    TestCache cache(shape, 600, 1);
    std::vector<Query> queries = {Query(cache, kStep, 530, 1, 2)};
    for (int64_t p = 531; p < 600; ++p) {
      for (int32_t head = 0; head < shape.n_kv_heads; ++head) cache.set(p, head, NAN);
    }
    attend(*backend, queries);
    expect_naive(queries[0]);
    EXPECT_EQ(queries[0].rows.k, 7 + int64_t{531} * shape.n_kv_heads);
  }
}

TEST_P(AttendTest, ChunksAreCausal) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 560, 1, 40));
    for (auto [first, n] : {std::pair{0, 1},
                            {0, 2},
                            {0, 40},
                            {1, 7},
                            {15, 3},
                            {16, 16},
                            {100, 33},
                            {505, 17},
                            {520, 40}}) {
      const TestCache cache(shape, first + n, static_cast<uint32_t>(first));
      std::vector<Query> queries = {Query(cache, kChunk, first, n, 3)};
      attend(*backend, queries);
      expect_naive(queries[0]);
      // A row may serve several queries of a chunk at once, or be read again for each.
      int64_t most = 0;
      for (int64_t i = 0; i < n; ++i) most += (first + i + 1) * shape.n_kv_heads;
      EXPECT_GE(queries[0].rows.k - 7, int64_t{first + n} * shape.n_kv_heads);
      EXPECT_GE(queries[0].rows.v - 11, int64_t{first + n} * shape.n_kv_heads);
      EXPECT_LE(queries[0].rows.k - 7, most);
      EXPECT_LE(queries[0].rows.v - 11, most);
    }
  }
}

TEST_P(AttendTest, AQueryOfAChunkHasTheBitsItHasInAnyOther) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 560, 1, 40));
    const TestCache cache(shape, 540, 4);
    for (auto [first, n] : {std::pair{0, 40}, {250, 20}, {500, 40}}) {
      std::vector<Query> chunk = {Query(cache, kChunk, first, n, 5)};
      attend(*backend, chunk);
      for (int32_t size : {1, 2}) {
        for (int32_t i = 0; i + size <= n; ++i) {
          std::vector<Query> part = {chunk[0].part(i, size)};
          attend(*backend, part);
          expect_part(chunk[0], i, part[0]);
          if (HasFatalFailure()) return;
        }
      }
    }
  }
}

// From the first row on, across pages and, in the cpu back end, chunks of the cache.
TEST_P(AttendTest, AStepHasTheBitsOfItsQueriesOneByOne) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 560, 1, kMaxStepQueries));
    for (int64_t first : {0, 13, 248, 511}) {
      const TestCache cache(shape, first + kMaxStepQueries, static_cast<uint32_t>(first));
      const Query all(cache, kStep, first, kMaxStepQueries, 6);
      std::vector<Query> single;
      for (int32_t i = 0; i < kMaxStepQueries; ++i) {
        std::vector<Query> alone = {all.part(i, 1)};
        attend(*backend, alone);
        single.push_back(std::move(alone[0]));
      }
      expect_naive(single.back());
      for (int32_t n = 1; n <= kMaxStepQueries; ++n) {
        std::vector<Query> step = {all.part(0, n)};
        attend(*backend, step);
        for (int32_t i = 0; i < n; ++i) {
          expect_part(step[0], i, single[static_cast<size_t>(i)]);
          if (HasFatalFailure()) return;
        }
        // Each row is loaded once for all of them.
        EXPECT_EQ(step[0].rows.k - 7, (first + n) * shape.n_kv_heads);
        EXPECT_EQ(step[0].rows.v - 11, (first + n) * shape.n_kv_heads);
      }
    }
  }
}

// Even if they hold NaN.
TEST_P(AttendTest, RowsOfAStepAreNothingToEarlierQueries) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 560, 1, kMaxStepQueries));
    for (int64_t first : {0, 250, 500}) {
      constexpr int32_t kQueries = 9;
      TestCache cache(shape, first + kQueries, static_cast<uint32_t>(first));
      std::vector<Query> before = {Query(cache, kStep, first, kQueries, 7)};
      attend(*backend, before);
      for (int64_t p = first + 4; p < first + kQueries; ++p) {
        for (int32_t head = 0; head < shape.n_kv_heads; ++head) cache.set(p, head, NAN);
      }
      std::vector<Query> after = {Query(cache, kStep, first, kQueries, 7)};
      attend(*backend, after);
      const auto n = static_cast<size_t>(4 * shape.q_width());
      EXPECT_SAME_BITS(std::span(after[0].out).first(n), std::span(before[0].out).first(n))
          << describe(shape) << ", from " << first;
      EXPECT_TRUE(std::isnan(after[0].out[n])) << describe(shape) << ", from " << first;
    }
  }
}

std::vector<Query> mixed_call(const std::vector<TestCache>& caches) {
  std::vector<Query> queries;
  for (const TestCache& cache : caches) {
    const int64_t n = cache.length();
    const auto seed = static_cast<uint32_t>(n);
    const auto several = [&](int64_t most) { return static_cast<int32_t>(std::min(n, most)); };
    queries.emplace_back(cache, kStep, n - 1, 1, seed);
    queries.emplace_back(cache, kChunk, n / 2, std::min(several(n - n / 2), 9), seed);
    queries.emplace_back(cache, kStep, n - several(5), several(5), seed);
  }
  return queries;
}

TEST_P(AttendTest, AnItemHasTheBitsItHasAloneForAnyNumberOfThreads) {
  for (const HeadShape& shape : attention_shapes()) {
    std::vector<TestCache> caches;
    for (int64_t n : kLengths) caches.emplace_back(shape, n, static_cast<uint32_t>(n) + 1);
    const auto n_items = static_cast<int32_t>(3 * caches.size());
    const BackendLimits limits = limits_for(shape, 2000, n_items, 9 * n_items);
    std::vector<Query> alone = mixed_call(caches);
    const auto single = make(limits, 1);
    for (Query& query : alone) {
      const AttendItem item = query.item();
      single->attend({&item, 1});
    }
    for (int n_threads : kThreadCounts) {
      const auto backend = make(limits, n_threads);
      std::vector<Query> together = mixed_call(caches);
      attend(*backend, together);
      for (size_t i = 0; i < together.size(); ++i) {
        expect_same_bits(together[i], alone[i]);
        ASSERT_FALSE(HasFailure())
            << describe(shape) << ", item " << i << ", " << n_threads << " threads";
      }
    }
  }
}

TEST_P(AttendTest, WhatItReturnsBesidesDoesNotChangeTheOutput) {
  for (const HeadShape& shape : attention_shapes()) {
    const TestCache cache(shape, 700, 6);
    const auto backend = make(limits_for(shape, 700));
    std::vector<Query> full = {Query(cache, kStep, 699, 1, 7)};
    attend(*backend, full);
    Query bare(cache, kStep, 699, 1, 7);
    AttendItem item = bare.item();
    item.scores = item.log_sum_exp = nullptr;
    item.rows = nullptr;
    backend->attend({&item, 1});
    EXPECT_SAME_BITS(bare.out, full[0].out) << describe(shape);
  }
}

// Scores of 10,000 and -10,000: exp of either is outside the range of float.
TEST_P(AttendTest, StaysFiniteForExtremeScores) {
  for (const HeadShape& shape : attention_shapes()) {
    constexpr int64_t kLength = 700, kPeak = 333;
    const auto backend = make(limits_for(shape, kLength));
    for (float others : {1.0f, -1.0f}) {
      TestCache cache(shape, kLength, 8);
      for (int32_t head = 0; head < shape.n_kv_heads; ++head) {
        for (int64_t p = 0; p < kLength; ++p) cache.set_k(p, head, p == kPeak ? 1.0f : others);
      }
      for (float size : {1e4f, -1e4f}) {
        std::vector<Query> query = {Query(cache, kStep, kLength - 1, 1, 9)};
        const float element = size / std::sqrt(static_cast<float>(shape.head_dim));
        std::fill(query[0].q.begin(), query[0].q.end(), element);
        attend(*backend, query);
        for (float score : query[0].scores) ASSERT_NEAR(std::abs(score), 1e4f, 1.0f);
        for (float sum : query[0].log_sum_exp) ASSERT_NEAR(std::abs(sum), 1e4f, 10.0f);
        for (float out : query[0].out) ASSERT_TRUE(std::isfinite(out)) << describe(shape);
        if (others == 1.0f || size < 0.0f) continue;
        const std::vector<float> v = cache.v(kPeak, 0);  // one row outweighs all others
        EXPECT_SAME_BITS(std::span(query[0].out).first(v.size()), v) << describe(shape);
      }
    }
  }
}

}  // namespace
}  // namespace tidal::test
