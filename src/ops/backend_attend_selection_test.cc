// attend through a Selection on every back end: which rows count, which must not, what is read.

#include <set>

#include "ops/attention_test_util.h"

namespace tidal::test {
namespace {

constexpr double kTolerance = 5e-5;
constexpr HeadScope kScopes[] = {HeadScope::kQueryHead, HeadScope::kKvHead, HeadScope::kAll};

using Lists = std::vector<std::vector<int32_t>>;

// Lists of different lengths over n rows, about `count` each.
Lists random_lists(const HeadShape& shape, HeadScope scope, int64_t n, int64_t count) {
  Lists lists;
  const int32_t n_lists = list_count(scope, shape.n_heads, shape.n_kv_heads);
  for (int32_t i = 0; i < n_lists; ++i) {
    lists.push_back(random_list(n, std::max<int64_t>(1, count - i), static_cast<uint32_t>(i + n)));
  }
  return lists;
}

struct Result {
  Floats out, log_sum_exp;
  RowsRead rows;
};

AttendItem make_item(const TestCache& cache, const Floats& q, const Selection* selection,
                     Result& result) {
  const HeadShape& shape = cache.shape();
  result.out.assign(q.size(), NAN);
  result.log_sum_exp.assign(static_cast<size_t>(shape.n_heads), NAN);
  return {.q = q.data(),
          .out = result.out.data(),
          .n_heads = shape.n_heads,
          .first_position = cache.length() - 1,
          .kv = cache.view(),
          .selection = selection,
          .log_sum_exp = result.log_sum_exp.data(),
          .rows = &result.rows};
}

Result attend(Backend& backend, const TestCache& cache, const Floats& q,
              const Selection* selection) {
  Result result;
  const AttendItem item = make_item(cache, q, selection, result);
  backend.attend({&item, 1});
  return result;
}

Floats random_query(const HeadShape& shape, uint32_t seed) {
  return random_normal(static_cast<size_t>(shape.q_width()), seed);
}

std::span<const float> head_of(const Floats& out, const HeadShape& shape, int32_t head) {
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  return std::span(out).subspan(static_cast<size_t>(head) * head_dim, head_dim);
}

void expect_naive(const TestCache& cache, const Floats& q, const Selection& selection,
                  const Result& result) {
  const HeadShape& shape = cache.shape();
  int64_t rows = 0;
  std::set<int32_t> rows_of_kv_head;
  for (int32_t head = 0; head < shape.n_heads; ++head) {
    const auto list = selection.list(selection.list_of_head(head, shape.n_heads));
    const NaiveAttention naive =
        naive_attention(cache, head / shape.group(), q.data() + head * shape.head_dim, list);
    ASSERT_LE(relative_error(head_of(result.out, shape, head), naive.out), kTolerance)
        << describe(shape) << ", " << cache.length() << " rows, head " << head;
    ASSERT_NEAR(result.log_sum_exp[static_cast<size_t>(head)], naive.log_sum_exp, kTolerance);
    rows_of_kv_head.insert(list.begin(), list.end());
    if ((head + 1) % shape.group() == 0) {
      rows += static_cast<int64_t>(rows_of_kv_head.size());
      rows_of_kv_head.clear();
    }
  }
  ASSERT_EQ(result.rows.k, rows) << describe(shape);
  ASSERT_EQ(result.rows.v, rows) << describe(shape);
}

class AttendSelectionTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(AttendSelectionTest);

TEST_P(AttendSelectionTest, EqualsTheDefinitionAndCountsRowsOnce) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 2000));
    for (int64_t n : {1, 15, 16, 17, 200, 513, 2000}) {
      const TestCache cache(shape, n, static_cast<uint32_t>(n));
      const Floats q = random_query(shape, 1);
      for (HeadScope scope : kScopes) {
        for (int64_t count : {int64_t{1}, int64_t{20}, n / 3, n}) {
          const TestSelection selection(random_lists(shape, scope, n, count));
          const Result result = attend(*backend, cache, q, &selection.get());
          expect_naive(cache, q, selection.get(), result);
        }
      }
    }
  }
}

TEST_P(AttendSelectionTest, AHeadMapSaysWhichListAHeadReads) {
  for (const HeadShape& shape : attention_shapes()) {
    const TestCache cache(shape, 513, 2);
    const Floats q = random_query(shape, 2);
    const auto backend = make(limits_for(shape, 513));
    for (HeadScope scope : kScopes) {
      const Lists lists = random_lists(shape, scope, 513, 70);
      std::vector<int32_t> map;  // neither in order nor onto
      for (int32_t head = 0; head < shape.n_heads; ++head) {
        map.push_back((head * 5 + 3) % static_cast<int32_t>(lists.size()));
      }
      const TestSelection selection(lists, map);
      expect_naive(cache, q, selection.get(), attend(*backend, cache, q, &selection.get()));
    }
  }
}

TEST_P(AttendSelectionTest, AllRowsGiveTheBitsOfNoSelection) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 2049));
    for (int64_t n : {1, 15, 16, 17, 257, 512, 513, 2049}) {
      const TestCache cache(shape, n, static_cast<uint32_t>(n));
      const Floats q = random_query(shape, 3);
      const Result full = attend(*backend, cache, q, nullptr);
      for (HeadScope scope : kScopes) {
        const int32_t n_lists = list_count(scope, shape.n_heads, shape.n_kv_heads);
        const TestSelection selection(Lists(static_cast<size_t>(n_lists), first_rows(n)));
        const Result result = attend(*backend, cache, q, &selection.get());
        EXPECT_SAME_BITS(result.out, full.out) << describe(shape) << ", " << n << " rows";
        EXPECT_SAME_BITS(result.log_sum_exp, full.log_sum_exp);
        EXPECT_EQ(result.rows.k, n * shape.n_kv_heads);
        EXPECT_EQ(result.rows.v, n * shape.n_kv_heads);
      }
    }
  }
}

TEST_P(AttendSelectionTest, UnselectedRowsChangeNothing) {
  constexpr int64_t kLength = 513;
  for (const HeadShape& shape : attention_shapes()) {
    const Floats q = random_query(shape, 4);
    const auto backend = make(limits_for(shape, kLength));
    for (HeadScope scope : kScopes) {
      TestCache cache(shape, kLength, 4);
      const TestSelection selection(random_lists(shape, scope, kLength, 60));
      const Result before = attend(*backend, cache, q, &selection.get());
      std::vector<std::set<int32_t>> read(static_cast<size_t>(shape.n_kv_heads));
      for (int32_t head = 0; head < shape.n_heads; ++head) {
        const auto list = selection.get().list(selection.get().list_of_head(head, shape.n_heads));
        read[static_cast<size_t>(head / shape.group())].insert(list.begin(), list.end());
      }
      for (int32_t head = 0; head < shape.n_kv_heads; ++head) {
        for (int32_t p = 0; p < kLength; ++p) {
          if (read[static_cast<size_t>(head)].contains(p)) continue;
          cache.set(p, head, p % 2 == 0 ? NAN : INFINITY);
        }
      }
      const Result after = attend(*backend, cache, q, &selection.get());
      EXPECT_SAME_BITS(after.out, before.out) << describe(shape);
      EXPECT_SAME_BITS(after.log_sum_exp, before.log_sum_exp) << describe(shape);
    }
  }
}

// The query heads of a KV head share what is loaded, not what they attend to.
TEST_P(AttendSelectionTest, ARowOfOneHeadsListIsNothingToItsNeighbours) {
  constexpr int64_t kLength = 300;
  for (const HeadShape& shape : attention_shapes()) {
    if (shape.group() == 1) continue;
    const Floats q = random_query(shape, 5);
    const auto backend = make(limits_for(shape, kLength));
    TestCache cache(shape, kLength, 5);
    Lists lists = random_lists(shape, HeadScope::kQueryHead, kLength, 40);
    for (auto& list : lists) std::erase(list, 100);
    lists[1].insert(std::lower_bound(lists[1].begin(), lists[1].end(), 100), 100);
    const TestSelection selection(lists);
    const Result before = attend(*backend, cache, q, &selection.get());
    cache.set(100, 0, NAN);
    const Result after = attend(*backend, cache, q, &selection.get());
    for (int32_t head = 0; head < shape.n_heads; ++head) {
      if (head == 1) {
        EXPECT_TRUE(std::isnan(head_of(after.out, shape, head)[0])) << describe(shape);
      } else {
        EXPECT_SAME_BITS(head_of(after.out, shape, head), head_of(before.out, shape, head))
            << describe(shape) << ", head " << head;
      }
    }
  }
}

TEST_P(AttendSelectionTest, EverySelectedRowMatters) {
  constexpr int64_t kLength = 130;
  for (const HeadShape& shape : attention_shapes()) {
    const Floats q = random_query(shape, 6);
    const auto backend = make(limits_for(shape, kLength));
    for (HeadScope scope : kScopes) {
      const Lists lists = random_lists(shape, scope, kLength, 20);
      const TestSelection selection(lists);
      TestCache cache(shape, kLength, 6);
      Result before = attend(*backend, cache, q, &selection.get());
      for (int32_t row : lists[0]) {
        for (bool change_k : {true, false}) {
          if (change_k) {
            cache.set_k(row, 0, 0.7f);
          } else {
            cache.set_v(row, 0, 0.7f);
          }
          Result after = attend(*backend, cache, q, &selection.get());
          ASSERT_NE(first_difference(head_of(after.out, shape, 0), head_of(before.out, shape, 0)),
                    -1)
              << describe(shape) << ", row " << row << (change_k ? " of K" : " of V");
          before = std::move(after);
        }
      }
    }
  }
}

// Attention over a set of rows combines attention over its parts, weighted by their sums of exp.
TEST_P(AttendSelectionTest, PartsMergeByLogSumExp) {
  constexpr int64_t kLength = 600;
  for (const HeadShape& shape : attention_shapes()) {
    const TestCache cache(shape, kLength, 7);
    const Floats q = random_query(shape, 7);
    const auto backend = make(limits_for(shape, kLength));
    Lists halves(2);
    for (int32_t p = 0; p < kLength; ++p) halves[static_cast<size_t>(p / 7 % 2)].push_back(p);
    const TestSelection first({halves[0]}), second({halves[1]});
    const Result whole = attend(*backend, cache, q, nullptr);
    const Result a = attend(*backend, cache, q, &first.get());
    const Result b = attend(*backend, cache, q, &second.get());
    for (int32_t head = 0; head < shape.n_heads; ++head) {
      const auto h = static_cast<size_t>(head);
      const double exp_a = std::exp(double{a.log_sum_exp[h]});
      const double exp_b = std::exp(double{b.log_sum_exp[h]});
      std::vector<double> merged;
      for (size_t e = 0; e < static_cast<size_t>(shape.head_dim); ++e) {
        merged.push_back((double{head_of(a.out, shape, head)[e]} * exp_a +
                          double{head_of(b.out, shape, head)[e]} * exp_b) /
                         (exp_a + exp_b));
      }
      EXPECT_LE(relative_error(head_of(whole.out, shape, head), merged), kTolerance);
      EXPECT_NEAR(whole.log_sum_exp[h], std::log(exp_a + exp_b), kTolerance);
    }
  }
}

// Items of every role and length in one call: each as if alone, with any number of threads.
TEST_P(AttendSelectionTest, RolesMixInOneCall) {
  constexpr int64_t kLengths[] = {1, 17, 90, 513, 2000};
  for (const HeadShape& shape : attention_shapes()) {
    std::vector<TestCache> caches;
    for (int64_t n : kLengths) caches.emplace_back(shape, n, static_cast<uint32_t>(n));
    const Floats q = random_query(shape, 8);
    std::vector<TestSelection> selections;
    std::vector<std::pair<const TestCache*, const Selection*>> calls;
    selections.reserve(std::size(kLengths) * std::size(kScopes));
    for (const TestCache& cache : caches) {
      calls.emplace_back(&cache, nullptr);
      for (HeadScope scope : kScopes) {
        const int64_t n = cache.length();
        selections.emplace_back(random_lists(shape, scope, n, std::max<int64_t>(1, n / 2)));
        calls.emplace_back(&cache, &selections.back().get());
      }
    }
    const BackendLimits limits = limits_for(shape, 2000, static_cast<int32_t>(calls.size()));
    const auto single = make(limits, 1);
    std::vector<Result> alone;
    for (auto [cache, selection] : calls) {
      alone.push_back(attend(*single, *cache, q, selection));
    }
    for (int n_threads : kThreadCounts) {
      const auto backend = make(limits, n_threads);
      std::vector<Result> results(calls.size());
      std::vector<AttendItem> items;
      for (size_t i = 0; i < calls.size(); ++i) {
        items.push_back(make_item(*calls[i].first, q, calls[i].second, results[i]));
      }
      backend->attend(items);
      for (size_t i = 0; i < calls.size(); ++i) {
        EXPECT_SAME_BITS(results[i].out, alone[i].out) << describe(shape) << ", item " << i;
        EXPECT_SAME_BITS(results[i].log_sum_exp, alone[i].log_sum_exp);
        EXPECT_EQ(results[i].rows.k, alone[i].rows.k);
        EXPECT_EQ(results[i].rows.v, alone[i].rows.v);
      }
    }
  }
}

}  // namespace
}  // namespace tidal::test
