// top_k on every back end, against a sort of the pooled scores.

#include <set>

#include "ops/attention_test_util.h"

namespace tidal::test {
namespace {

constexpr HeadScope kScopes[] = {HeadScope::kQueryHead, HeadScope::kKvHead, HeadScope::kAll};
constexpr Pooling kPoolings[] = {Pooling::kRaw, Pooling::kSoftmax};

struct Heads {
  int32_t n_heads;
  int32_t n_kv_heads;
};
constexpr Heads kHeads[] = {{1, 1}, {4, 4}, {9, 3}, {8, 2}, {8, 1}, {32, 8}};

// A TopKItem with its memory and the expected result.
struct Pick {
  Floats scores;  // [n_heads, n_candidates]
  TopKItem item;
  TestSelection selection;

  Pick(Heads heads, HeadScope scope, Pooling pooling, int64_t n_candidates, int64_t budget,
       Floats all_scores, int32_t candidate_rows = 1, int64_t n_rows = 0)
      : scores(std::move(all_scores)),
        selection(list_count(scope, heads.n_heads, heads.n_kv_heads), budget * candidate_rows) {
    item = {.n_heads = heads.n_heads,
            .n_kv_heads = heads.n_kv_heads,
            .n_candidates = n_candidates,
            .scope = scope,
            .pooling = pooling,
            .budget = budget,
            .candidate_rows = candidate_rows,
            .n_rows = n_rows == 0 ? n_candidates : n_rows};
  }

  TopKItem& call() {
    item.scores = scores.data();
    item.selection = &selection.get();
    return item;
  }
  std::vector<int32_t> list(int32_t index) const {
    const auto list = selection.get().list(index);
    return {list.begin(), list.end()};
  }
};

void run(Backend& backend, Pick& pick) { backend.top_k({&pick.call(), 1}); }

BackendLimits limits(int64_t max_context, int32_t max_sequences = 1) {
  return {.max_rows = max_sequences,
          .max_context = max_context,
          .max_sequences = max_sequences,
          .n_heads = 32,
          .n_kv_heads = 8};
}

bool is_forced(const TopKItem& item, int64_t candidate) {
  return candidate < item.sinks ||
         candidate >= item.n_candidates - std::max<int64_t>(item.recent, 1);
}

// Pools the scores of a list's heads into one per candidate.
std::vector<double> pooled(const Pick& pick, int32_t list) {
  const TopKItem& item = pick.item;
  const auto n = static_cast<size_t>(item.n_candidates);
  const int32_t n_lists = pick.selection.get().n_lists;
  std::vector<double> result(n, item.pooling == Pooling::kRaw ? -HUGE_VAL : 0.0);
  for (int32_t head = 0; head < item.n_heads; ++head) {
    if (head / (item.n_heads / n_lists) != list) continue;
    const float* scores = pick.scores.data() + static_cast<size_t>(head) * n;
    const double largest = double{*std::max_element(scores, scores + n)};
    double total = 0.0;
    for (size_t c = 0; c < n; ++c) total += std::exp(double{scores[c]} - largest);
    for (size_t c = 0; c < n; ++c) {
      if (item.pooling == Pooling::kRaw) {
        result[c] = std::max(result[c], double{scores[c]});
      } else {
        result[c] += std::exp(double{scores[c]} - largest) / total;
      }
    }
  }
  return result;
}

std::vector<int32_t> candidates_to_rows(const TopKItem& item, const std::vector<int64_t>& picked) {
  std::vector<int32_t> rows;
  for (int64_t candidate : picked) {
    for (int64_t p = candidate * item.candidate_rows;
         p < std::min((candidate + 1) * item.candidate_rows, item.n_rows); ++p) {
      rows.push_back(static_cast<int32_t>(p));
    }
  }
  return rows;
}

std::vector<int32_t> expected_list(const Pick& pick, int32_t list) {
  const TopKItem& item = pick.item;
  const std::vector<double> scores = pooled(pick, list);
  std::vector<int64_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    if (is_forced(item, a) != is_forced(item, b)) return is_forced(item, a);
    if (is_forced(item, a)) return false;
    return scores[static_cast<size_t>(a)] > scores[static_cast<size_t>(b)];
  });
  order.resize(std::min(order.size(), static_cast<size_t>(item.budget)));
  std::sort(order.begin(), order.end());
  return candidates_to_rows(item, order);
}

void expect_lists(const Pick& pick) {
  for (int32_t list = 0; list < pick.selection.get().n_lists; ++list) {
    ASSERT_EQ(pick.list(list), expected_list(pick, list))
        << "list " << list << ": " << pick.item.n_candidates << " candidates, budget "
        << pick.item.budget << ", sinks " << pick.item.sinks << ", recent " << pick.item.recent
        << ", " << pick.item.candidate_rows << " rows each";
  }
}

// Like expect_lists, but candidates whose pooled probabilities differ by rounding may swap.
void expect_nearly_lists(const Pick& pick) {
  const TopKItem& item = pick.item;
  for (int32_t list = 0; list < pick.selection.get().n_lists; ++list) {
    const std::vector<double> scores = pooled(pick, list);
    const std::vector<int32_t> rows = pick.list(list), expected = expected_list(pick, list);
    ASSERT_EQ(rows.size(), expected.size());
    ASSERT_TRUE(std::is_sorted(rows.begin(), rows.end(), std::less_equal<>())) << "ascending";
    const std::set<int32_t> picked(rows.begin(), rows.end());
    double worst_in = HUGE_VAL, best_out = 0.0;
    for (int64_t c = 0; c < item.n_candidates; ++c) {
      const bool in = picked.contains(static_cast<int32_t>(c));
      if (is_forced(item, c)) {
        ASSERT_TRUE(in) << c;
      } else {
        double& bound = in ? worst_in : best_out;
        bound = in ? std::min(bound, scores[static_cast<size_t>(c)])
                   : std::max(bound, scores[static_cast<size_t>(c)]);
      }
    }
    constexpr double kNothing = 1e-30;  // floats may round such probabilities to equal zeros
    ASSERT_GE(worst_in + kNothing, best_out * (1.0 - 1e-5)) << "list " << list;
  }
}

Floats random_scores(Heads heads, int64_t n, uint32_t seed) {
  return random_normal(static_cast<size_t>(heads.n_heads * n), seed, 2.0f);
}

// Only a few values, in the same order in every head, so that ties are ties under either pooling.
Floats tied_scores(Heads heads, int64_t n, int32_t n_values, uint32_t seed) {
  std::mt19937 generator(seed);
  Floats scores(static_cast<size_t>(heads.n_heads * n));
  for (int64_t c = 0; c < n; ++c) {
    const auto value = static_cast<float>(generator() % static_cast<uint32_t>(n_values));
    for (int32_t head = 0; head < heads.n_heads; ++head) {
      scores[static_cast<size_t>(head * n + c)] = value - 2.0f + static_cast<float>(head);
    }
  }
  return scores;
}

std::vector<int64_t> budgets(int64_t n) {
  std::vector<int64_t> result = {1};
  for (int64_t budget : {int64_t{2}, n / 3, n - 1, n, n + 5}) {
    if (budget > result.back()) result.push_back(budget);
  }
  return result;
}

class TopKTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(TopKTest);

TEST_P(TopKTest, PicksTheBest) {
  const auto backend = make(limits(2000));
  for (Heads heads : kHeads) {
    for (int64_t n : {1, 2, 15, 16, 17, 100, 511, 513, 2000}) {
      for (HeadScope scope : kScopes) {
        for (int64_t budget : budgets(n)) {
          Pick raw(heads, scope, Pooling::kRaw, n, budget, random_scores(heads, n, 1));
          run(*backend, raw);
          expect_lists(raw);
          Pick softmax(heads, scope, Pooling::kSoftmax, n, budget, random_scores(heads, n, 2));
          run(*backend, softmax);
          expect_nearly_lists(softmax);
          ASSERT_FALSE(HasFailure());
        }
      }
    }
  }
}

TEST_P(TopKTest, EqualScoresGoToTheEarlierCandidate) {
  const auto backend = make(limits(2000));
  for (Heads heads : kHeads) {
    for (int64_t n : {1, 7, 16, 33, 513, 2000}) {
      for (HeadScope scope : kScopes) {
        for (Pooling pooling : kPoolings) {
          for (int32_t n_values : {1, 2, 5}) {
            for (int64_t budget : budgets(n)) {
              Pick pick(heads, scope, pooling, n, budget, tied_scores(heads, n, n_values, 3));
              run(*backend, pick);
              expect_lists(pick);
              ASSERT_FALSE(HasFailure()) << n_values << " values";
            }
          }
        }
      }
    }
  }
}

TEST_P(TopKTest, SinksRecentAndNewestAreAlwaysIn) {
  const auto backend = make(limits(700));
  for (Heads heads : kHeads) {
    for (int64_t n : {1, 3, 16, 40, 700}) {
      for (HeadScope scope : kScopes) {
        for (auto [sinks, recent] : {std::pair{0, 0}, {0, 1}, {4, 0}, {4, 1}, {1, 20}, {16, 16}}) {
          for (int64_t more : {0, 1, 30, 800}) {
            const int64_t budget = sinks + std::max(recent, 1) + more;
            Floats scores = random_scores(heads, n, 4);
            for (size_t i = 0; i < scores.size(); ++i) {  // the forced ones score worst
              const auto c = static_cast<int64_t>(i) % n;
              if (c < sinks || c >= n - std::max(recent, 1)) scores[i] = -50.0f;
            }
            Pick pick(heads, scope, Pooling::kRaw, n, budget, scores);
            pick.item.sinks = sinks;
            pick.item.recent = recent;
            run(*backend, pick);
            expect_lists(pick);
            ASSERT_FALSE(HasFailure());
          }
        }
      }
    }
  }
}

TEST_P(TopKTest, CandidatesMayBePages) {
  const auto backend = make(limits(2000));
  for (Heads heads : kHeads) {
    for (int64_t n_rows : {1, 15, 16, 17, 161, 2000}) {
      for (int32_t page_rows : {16, 5}) {
        const int64_t n = (n_rows + page_rows - 1) / page_rows;
        for (HeadScope scope : kScopes) {
          for (int64_t budget : budgets(n)) {
            Pick pick(heads, scope, Pooling::kRaw, n, budget, random_scores(heads, n, 5), page_rows,
                      n_rows);
            run(*backend, pick);
            expect_lists(pick);
            ASSERT_FALSE(HasFailure());
          }
        }
      }
    }
  }
}

// One head is sure of candidate 3; three lean to 7; one with large scores is nearly indifferent.
TEST_P(TopKTest, SoftmaxPoolingSumsProbabilitiesRawTakesTheLargest) {
  constexpr int64_t kCount = 20;
  Floats scores(5 * kCount, 0.0f);
  scores[3] = 8.0f;
  for (size_t c = 0; c < kCount; ++c) scores[4 * kCount + c] = 100.0f;
  scores[4 * kCount + 5] = 100.5f;
  for (size_t head = 1; head < 4; ++head) scores[head * kCount + 7] = 3.9f;
  const auto backend = make(limits(kCount));
  Pick raw({5, 1}, HeadScope::kAll, Pooling::kRaw, kCount, 2, scores);
  run(*backend, raw);
  EXPECT_EQ(raw.list(0), (std::vector<int32_t>{5, 19}));
  Pick softmax({5, 1}, HeadScope::kAll, Pooling::kSoftmax, kCount, 2, scores);
  run(*backend, softmax);
  EXPECT_EQ(softmax.list(0), (std::vector<int32_t>{7, 19}));
}

TEST_P(TopKTest, OrdersEveryKindOfNumber) {
  const auto backend = make(limits(16));
  Floats scores = {-0.0f, 0.0f,  -0.0f, 1e-45f, -1e-45f, 3e38f, -3e38f, 1e-38f,
                   -1.0f, -2.0f, 1.0f,  0.0f,   -1e4f,   1e4f,  -0.0f,  -3.4e38f};
  for (int64_t budget = 1; budget <= 17; ++budget) {
    Pick pick({1, 1}, HeadScope::kAll, Pooling::kRaw, 16, budget, scores);
    run(*backend, pick);
    expect_lists(pick);
  }
}

TEST_P(TopKTest, StandsExtremeScores) {
  const auto backend = make(limits(300));
  for (Heads heads : kHeads) {
    for (HeadScope scope : kScopes) {
      Floats scores = random_scores(heads, 300, 6);
      for (float& score : scores) score *= 5e3f;
      Pick pick(heads, scope, Pooling::kSoftmax, 300, 1 + 4, scores);
      run(*backend, pick);
      expect_nearly_lists(pick);
      ASSERT_FALSE(HasFailure());
    }
  }
}

std::vector<Pick> mixed_call() {
  std::vector<Pick> picks;
  for (int64_t n : {1, 16, 100, 513, 2000}) {
    for (HeadScope scope : kScopes) {
      for (Pooling pooling : kPoolings) {
        picks.emplace_back(Heads{9, 3}, scope, pooling, n, 1 + n / 4,
                           random_scores({9, 3}, n, static_cast<uint32_t>(n)));
      }
    }
  }
  return picks;
}

TEST_P(TopKTest, AnItemGivesWhatItGivesAloneForAnyNumberOfThreads) {
  std::vector<Pick> alone = mixed_call();
  const auto n_items = static_cast<int32_t>(alone.size());
  const auto single = make(limits(2000, n_items), 1);
  for (Pick& pick : alone) run(*single, pick);
  for (int n_threads : kThreadCounts) {
    std::vector<Pick> together = mixed_call();
    std::vector<TopKItem> items;
    for (Pick& pick : together) items.push_back(pick.call());
    make(limits(2000, n_items), n_threads)->top_k(items);
    for (size_t i = 0; i < together.size(); ++i) {
      for (int32_t list = 0; list < alone[i].selection.get().n_lists; ++list) {
        EXPECT_EQ(together[i].list(list), alone[i].list(list)) << n_threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace tidal::test
