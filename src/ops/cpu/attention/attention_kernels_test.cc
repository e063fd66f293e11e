// What the tests of all back ends cannot see: long walks that only this one splits, and its memory.

#include "ops/cpu/attention/attention_kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <vector>

#include "base/half.h"
#include "ops/cpu/attention/attend_prefill.h"
#include "ops/cpu/attention/decode_plan.h"
#include "ops/cpu/target.h"

namespace tidal::cpu {
namespace {

using enum AttendKind;
using Floats = std::vector<float>;

Floats random_floats(size_t n, uint32_t seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  Floats values(n);
  for (float& v : values) v = normal(random);
  return values;
}

// f16 rows of 2 KV heads, pages in reverse order.
struct LongCache {
  static constexpr int32_t kKvHeads = 2;
  static constexpr int32_t kHeadDim = 16;
  std::vector<uint16_t> k, v;
  std::vector<int32_t> pages;
  KvView view;

  explicit LongCache(int64_t length) : pages(static_cast<size_t>((length + 15) / 16)) {
    constexpr size_t kRow = kKvHeads * kHeadDim;
    std::iota(pages.rbegin(), pages.rend(), 0);
    for (auto* plane : {&k, &v}) {
      const Floats values = random_floats(pages.size() * kPageRows * kRow, plane == &k ? 1 : 2);
      for (float value : values) plane->push_back(float_to_f16(value));
    }
    const auto plane_of = [](std::vector<uint16_t>& rows) {
      return KvPlane{DType::kF16, reinterpret_cast<std::byte*>(rows.data()),
                     kPageRows * kRow * sizeof(uint16_t), kRow * sizeof(uint16_t)};
    };
    view = {plane_of(k), plane_of(v), kKvHeads, kHeadDim, length, pages.data()};
  }
};

constexpr int32_t kHeads = 6;
constexpr int32_t kWidth = kHeads * LongCache::kHeadDim;

struct Result {
  Floats out, log_sum_exp;
  bool operator==(const Result&) const = default;
};

AttendItem make_item(AttendKind kind, const LongCache& cache, const Floats& q, int64_t first,
                     int32_t n, Result& result) {
  result.out.assign(static_cast<size_t>(n * kWidth), NAN);
  result.log_sum_exp.assign(static_cast<size_t>(n * kHeads), NAN);
  return {.kind = kind,
          .q = q.data(),
          .out = result.out.data(),
          .n_queries = n,
          .n_heads = kHeads,
          .first_position = first,
          .kv = cache.view,
          .log_sum_exp = result.log_sum_exp.data()};
}

Result attend_once(AttendKind kind, int n_threads, const LongCache& cache, const Floats& q,
                   int64_t first, int32_t n) {
  ThreadPool pool(n_threads);
  AttentionScratch scratch;
  Result result;
  const AttendItem item = make_item(kind, cache, q, first, n, result);
  attend(pool, scratch, {&item, 1});
  return result;
}

class AttentionKernels : public testing::Test {
 protected:
  AttentionKernels() { choose_target(); }
};

TEST_F(AttentionKernels, AChunkOverManySegmentsHasTheSameBitsHoweverThreadsShareThem) {
  constexpr int64_t kLength = 5 * kSegmentKeys + 77;
  const LongCache cache(kLength);
  const Floats q = random_floats(90 * kWidth, 3);
  for (int32_t n : {1, 2, 3, 90}) {
    const Result alone = attend_once(kChunk, 1, cache, q, kLength - n, n);
    EXPECT_EQ(alone, attend_once(kChunk, 2, cache, q, kLength - n, n));
    EXPECT_EQ(alone, attend_once(kChunk, 7, cache, q, kLength - n, n));
  }
}

TEST_F(AttentionKernels, ChunksAndStepsAgree) {
  constexpr int64_t kLength = 3 * kSegmentKeys + 5;
  constexpr int32_t kQueries = 12;
  const LongCache cache(kLength);
  const Floats q = random_floats(kQueries * kWidth, 4);
  const Result chunk = attend_once(kChunk, 3, cache, q, kLength - kQueries, kQueries);
  for (int32_t i = 0; i < kQueries; ++i) {
    const Floats row(q.begin() + i * kWidth, q.begin() + (i + 1) * kWidth);
    const Result single = attend_once(kStep, 3, cache, row, kLength - kQueries + i, 1);
    for (size_t j = 0; j < kWidth; ++j) {
      ASSERT_NEAR(single.out[j], chunk.out[static_cast<size_t>(i) * kWidth + j], 2e-6);
    }
    for (size_t h = 0; h < kHeads; ++h) {
      ASSERT_NEAR(single.log_sum_exp[h], chunk.log_sum_exp[static_cast<size_t>(i) * kHeads + h],
                  2e-6);
    }
  }
}

TEST_F(AttentionKernels, StepsHaveTheSameBitsInWavesAndCutByHeads) {
  AttentionScratch scratch;
  const int64_t length = scratch.wave_rows() / 2 - 3;  // three do not fit into a wave
  const LongCache cache(length);
  const LongCache little(kChunkRows + 9);  // so little work that chunks are cut by KV heads
  ThreadPool pool(5);
  for (int32_t n : {1, 4}) {
    const Floats q = random_floats(static_cast<size_t>(n * kWidth), 5);
    std::vector<Result> results(4);
    std::vector<AttendItem> items;
    for (size_t i = 0; i < 3; ++i) {
      items.push_back(make_item(kStep, cache, q, length - n, n, results[i]));
    }
    items.push_back(make_item(kStep, little, q, kChunkRows, n, results[3]));
    attend(pool, scratch, items);
    EXPECT_EQ(results[0], attend_once(kStep, 1, cache, q, length - n, n));
    EXPECT_EQ(results[0], results[1]);
    EXPECT_EQ(results[0], results[2]);
    EXPECT_EQ(results[3], attend_once(kStep, 1, little, q, kChunkRows, n));
    EXPECT_EQ(results[3], attend_once(kStep, 8, little, q, kChunkRows, n));
  }
}

TEST_F(AttentionKernels, TopKOfManyChunksIsTheSortedOne) {
  constexpr int64_t kCandidates = 50000;
  Floats scores = random_floats(2 * kCandidates, 6);
  for (float& s : scores) s = std::round(s * 64) / 64;  // many ties
  for (int64_t budget : {5, 1000, 20000, 49999}) {
    std::vector<int32_t> positions(2 * kCandidates);
    std::vector<int64_t> counts(2);
    Selection selection{2, kCandidates, positions.data(), counts.data(), nullptr};
    const TopKItem item{.scores = scores.data(),
                        .n_heads = 2,
                        .n_kv_heads = 2,
                        .n_candidates = kCandidates,
                        .scope = HeadScope::kKvHead,
                        .budget = budget,
                        .n_rows = kCandidates,
                        .selection = &selection};
    ThreadPool pool(3);
    AttentionScratch scratch;
    top_k(pool, scratch, {&item, 1});
    for (int32_t list = 0; list < 2; ++list) {
      const float* s = scores.data() + list * kCandidates;
      std::vector<int32_t> best(kCandidates - 1);
      std::iota(best.begin(), best.end(), 0);
      std::stable_sort(best.begin(), best.end(), [&](int32_t a, int32_t b) { return s[a] > s[b]; });
      best.resize(static_cast<size_t>(budget - 1));
      best.push_back(kCandidates - 1);
      std::sort(best.begin(), best.end());
      const auto picked = selection.list(list);
      EXPECT_EQ(std::vector<int32_t>(picked.begin(), picked.end()), best) << budget;
    }
  }
}

TEST_F(AttentionKernels, NoCallWithinTheLimitsAllocates) {
  constexpr int64_t kLength = 2000;
  constexpr int32_t kSequences = 3;
  const LongCache cache(kLength);
  const Floats q = random_floats(64 * kWidth, 7);
  for (int n_threads : {1, 4}) {
    ThreadPool pool(n_threads);
    AttentionScratch scratch;
    scratch.reserve({.max_rows = 64,
                     .max_context = kLength,
                     .max_sequences = kSequences,
                     .n_heads = kHeads,
                     .n_kv_heads = LongCache::kKvHeads,
                     .head_dim = LongCache::kHeadDim},
                    n_threads);
    const size_t before = scratch.bytes();

    Floats scores(kSequences * kHeads * kLength);
    std::vector<int32_t> positions(kSequences * kHeads * kLength);
    std::vector<int64_t> counts(kSequences * kHeads);
    std::vector<Selection> selections;
    std::vector<ScoreItem> score_items;
    std::vector<TopKItem> top_k_items;
    std::vector<Result> results(2 * kSequences);
    std::vector<AttendItem> full, sparse;
    for (int32_t i = 0; i < kSequences; ++i) {
      float* s = scores.data() + i * kHeads * kLength;
      selections.push_back({kHeads, kLength, positions.data() + i * kHeads * kLength,
                            counts.data() + i * kHeads, nullptr});
      score_items.push_back(
          {.q = q.data() + i * kWidth, .n_heads = kHeads, .kv = cache.view, .scores = s});
      full.push_back(make_item(kStep, cache, q, kLength - kMaxStepQueries, kMaxStepQueries,
                               results[static_cast<size_t>(i)]));
    }
    for (size_t i = 0; i < kSequences; ++i) {
      top_k_items.push_back({.scores = score_items[i].scores,
                             .n_heads = kHeads,
                             .n_kv_heads = LongCache::kKvHeads,
                             .n_candidates = kLength,
                             .scope = HeadScope::kQueryHead,
                             .budget = 900,
                             .n_rows = kLength,
                             .selection = &selections[i]});
      sparse.push_back(make_item(kStep, cache, q, kLength - 1, 1, results[kSequences + i]));
      sparse.back().selection = &selections[i];
    }
    Result chunk;
    const AttendItem prefill = make_item(kChunk, cache, q, kLength - 64, 64, chunk);
    score(pool, scratch, score_items);
    top_k(pool, scratch, top_k_items);
    attend(pool, scratch, sparse);
    attend(pool, scratch, full);
    attend(pool, scratch, {&prefill, 1});
    for (TopKItem& item : top_k_items) {
      item.scope = HeadScope::kKvHead;
      item.pooling = Pooling::kSoftmax;
      item.selection->n_lists = LongCache::kKvHeads;
    }
    top_k(pool, scratch, top_k_items);
    attend(pool, scratch, sparse);
    EXPECT_EQ(scratch.bytes(), before) << n_threads << " threads";
  }
}

}  // namespace
}  // namespace tidal::cpu
