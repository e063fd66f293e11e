// The runner: batches of mixed work, one call per operation, no allocation, cost of a sparse layer.

#include "attention/runner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "attention/registry.h"
#include "attention/sequence_test_util.h"
#include "ops/forwarding_backend.h"
#include "ops/reference/reference_backend.h"
#include "testing/allocations/allocation_counter.h"

namespace tidal::test {
namespace {

// Counts the calls of each operation; allocations inside the back end are not its concern.
class CountingBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  void attend(std::span<const AttendItem> items) override {
    count(attend_calls, items, [&] { inner().attend(items); });
  }
  void score(std::span<const ScoreItem> items) override {
    count(score_calls, items, [&] { inner().score(items); });
  }
  void top_k(std::span<const TopKItem> items) override {
    count(top_k_calls, items, [&] { inner().top_k(items); });
  }
  void update_page_bounds(std::span<const PageBoundsItem> items) override {
    for (const PageBoundsItem& item : items) rows_summarised += item.kv.length - item.first_row;
    count(bounds_calls, items, [&] { inner().update_page_bounds(items); });
  }
  void score_pages(std::span<const ScorePagesItem> items) override {
    count(score_pages_calls, items, [&] { inner().score_pages(items); });
  }
  void update_block_sums(std::span<const BlockSumsItem> items) override {
    for (const BlockSumsItem& item : items) rows_summarised += item.end_row - item.first_row;
    count(block_sums_calls, items, [&] { inner().update_block_sums(items); });
  }
  void attend_rest(std::span<const AttendRestItem> items) override {
    count(rest_calls, items, [&] { inner().attend_rest(items); });
  }

  int attend_calls = 0, score_calls = 0, top_k_calls = 0, bounds_calls = 0, score_pages_calls = 0,
      block_sums_calls = 0, rest_calls = 0;
  int64_t rows_summarised = 0;
  int64_t own_allocations = 0;  // of the operations

 private:
  template <typename Items, typename F>
  void count(int& calls, const Items& items, F&& run) {
    EXPECT_FALSE(items.empty());
    ++calls;
    const int64_t before = allocation_count();
    run();
    own_allocations += allocation_count() - before;
  }
};

std::shared_ptr<const AttentionMethod> method(const TestShape& shape, const std::string& name,
                                              const std::string& plan) {
  MethodOptions options;
  options.name = name;
  options.plan = plan;
  options.min_context = 0;
  return make_method(options, shape.n_layers, shape.n_heads, shape.n_kv_heads, 2048);
}

constexpr std::pair<const char*, const char*> kMixed[] = {
    {"full", ""},
    {"window", "budget:30 sinks:2"},
    {"quest", "full:0 budget:48"},
    {"oracle", "full:0-1 budget:40 scope:kv"},
    {"tidal", "full:0-1 select:2,4 budget:32 scope:q"},
    {"tidal", "full:0 select:1,4 budget:16 scope:all pool:softmax own:on sinks:2"},
    {"tidal", "full:none select:0 budget:16 scope:all pool:softmax own:on rest:8"},
    {"tidal", "full:none select:0,3 budget:10% scope:kv own:on"},
};

std::vector<std::unique_ptr<TestSequence>> mixed_sequences(const TestShape& shape,
                                                           Memory& memory = host_memory()) {
  std::vector<std::unique_ptr<TestSequence>> sequences;
  for (const auto& [name, plan] : kMixed) {
    sequences.push_back(
        std::make_unique<TestSequence>(shape, method(shape, name, plan), 256, memory));
    sequences.back()->append(90 + 13 * static_cast<int64_t>(sequences.size()));
  }
  return sequences;
}

// The last n rows of a sequence as a chunk of a prompt.
struct Chunk {
  Chunk(TestSequence& sequence, int32_t n_rows, Memory& memory = host_memory())
      : sequence_(sequence),
        n_rows_(n_rows),
        width_(static_cast<size_t>(n_rows * sequence.shape().n_heads * sequence.shape().head_dim)),
        q_(width_ * sizeof(float), memory),
        out_(q_.size(), memory) {}
  AttentionItem item(int32_t layer) {
    for (size_t i = 0; i < width_; ++i) {
      q_.host<float>()[i] = test_value(kPlaneQ, 7, layer, 0, static_cast<int64_t>(i));
    }
    q_.push(q_.size());
    AttentionItem item;
    item.kind = AttendKind::kChunk;
    item.q = q_.device<float>();
    item.out = out_.device<float>();
    item.n_rows = n_rows_;
    item.first_position = sequence_.length() - n_rows_;
    item.kv = sequence_.view(layer);
    return item;
  }
  std::vector<float> out() const {
    out_.pull(out_.size());
    return {out_.host<float>(), out_.host<float>() + width_};
  }

 private:
  TestSequence& sequence_;
  int32_t n_rows_;
  size_t width_;
  MirroredBuffer q_, out_;
};

class RunnerTest : public testing::TestWithParam<std::string> {};

TEST_P(RunnerTest, WhatSharesABatchDoesNotMatter) {
  const TestShape shape;
  const std::unique_ptr<Backend> backend = make_backend(GetParam(), 2);
  backend->reserve({16, shape.n_heads * shape.head_dim, 256, 16, shape.n_heads, shape.n_kv_heads,
                    shape.head_dim});
  AttentionRunner runner(*backend, shape.n_heads, 256, 16);
  const auto alone = mixed_sequences(shape, backend->memory());
  const auto together = mixed_sequences(shape, backend->memory());
  TestSequence prompt(shape, method(shape, "full", ""), 256, backend->memory());
  prompt.append(50);
  Chunk chunk_alone(prompt, 9, backend->memory());
  Chunk chunk(prompt, 9, backend->memory());
  for (int step = 0; step < 2; ++step) {
    for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
      std::vector<AttentionItem> items;
      for (const auto& sequence : together) items.push_back(sequence->item(layer));
      items.insert(items.begin() + 3, chunk.item(layer));
      runner.run(layer, items);
      for (size_t i = 0; i < alone.size(); ++i) {
        EXPECT_EQ(together[i]->out(), alone[i]->run(runner, layer))
            << kMixed[i].first << " layer " << layer;
      }
      const AttentionItem chunk_items[] = {chunk_alone.item(layer)};
      runner.run(layer, chunk_items);
      EXPECT_EQ(chunk.out(), chunk_alone.out()) << "layer " << layer;
    }
    for (size_t i = 0; i < alone.size(); ++i) {
      EXPECT_EQ(together[i]->state().rows().k, alone[i]->state().rows().k);
      EXPECT_EQ(together[i]->state().rows().v, alone[i]->state().rows().v);
      EXPECT_EQ(together[i]->state().rows_total, alone[i]->state().rows_total);
      together[i]->append(1);
      alone[i]->append(1);
    }
  }
  EXPECT_EQ(prompt.state().rows_total, 0) << "prompts are not counted";
}

TEST_P(RunnerTest, RowsWithoutAMethodAreDenseAndNotCounted) {
  const TestShape shape;
  const std::unique_ptr<Backend> backend = make_backend(GetParam(), 1);
  backend->reserve(
      {1, shape.n_heads * shape.head_dim, 256, 2, shape.n_heads, shape.n_kv_heads, shape.head_dim});
  AttentionRunner runner(*backend, shape.n_heads, 256, 2);
  TestSequence sparse(shape, method(shape, "window", "budget:8"), 256, backend->memory());
  TestSequence full(shape, method(shape, "full", ""), 256, backend->memory());
  sparse.append(70);
  full.append(70);
  AttentionItem items[] = {sparse.item(3)};
  items[0].method = nullptr;
  items[0].state = nullptr;
  runner.run(3, items);
  EXPECT_EQ(sparse.out(), full.run(runner, 3));
  EXPECT_EQ(sparse.state().rows().k, 0);
  EXPECT_EQ(sparse.state().rows_total, 0);
}

TEST_P(RunnerTest, ASparseLayerCostsTheSameAtAnyLength) {
  TestShape shape;
  shape.n_layers = 2;
  const std::unique_ptr<Backend> backend = make_backend(GetParam(), 1);
  backend->reserve({1, shape.n_heads * shape.head_dim, 40960, 1, shape.n_heads, shape.n_kv_heads,
                    shape.head_dim});
  AttentionRunner runner(*backend, shape.n_heads, 40960, 1);
  constexpr int64_t kBudget = 64;
  for (const char* scope : {"q", "kv", "all"}) {
    for (const int64_t length : {4096, 40960}) {
      TestSequence sequence(
          shape,
          method(shape, "tidal", fmt::format("full:none select:0 budget:64 scope:{}", scope)),
          40960, backend->memory());
      sequence.append(length);
      sequence.run(runner, 0);
      const RowsRead before = sequence.state().rows();
      sequence.run(runner, 1);
      const RowsRead rows = {sequence.state().rows().k - before.k,
                             sequence.state().rows().v - before.v};
      EXPECT_EQ(rows.k, rows.v);
      if (std::string_view(scope) == "q") {
        EXPECT_LE(rows.k, kBudget * shape.n_heads) << length;
        EXPECT_GE(rows.k, kBudget * shape.n_kv_heads) << length;
      } else {
        EXPECT_EQ(rows.k, kBudget * shape.n_kv_heads) << scope << " at " << length;
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Backends, RunnerTest, testing::ValuesIn(backend_names()));

TEST(Runner, CallsEachOperationOnceForAllAndAllocatesNothing) {
  const TestShape shape;
  const std::unique_ptr<Backend> reference = make_reference_backend();
  CountingBackend backend(*reference);
  AttentionRunner runner(backend, shape.n_heads, 256, 16);
  const auto sequences = mixed_sequences(shape);
  TestSequence prompt(shape, method(shape, "full", ""), 256);
  prompt.append(50);
  Chunk chunk(prompt, 9);
  for (int32_t layer = 0; layer < shape.n_layers; ++layer) {
    std::vector<AttentionItem> items;
    for (const auto& sequence : sequences) items.push_back(sequence->item(layer));
    items.push_back(chunk.item(layer));
    backend.attend_calls = backend.score_calls = backend.top_k_calls = backend.bounds_calls =
        backend.score_pages_calls = backend.block_sums_calls = backend.rest_calls = 0;
    backend.own_allocations = 0;
    const int64_t before = allocation_count();
    runner.run(layer, items);
    EXPECT_EQ(allocation_count() - before, backend.own_allocations) << "layer " << layer;
    EXPECT_LE(backend.attend_calls, 2);
    EXPECT_GE(backend.attend_calls, 1);
    for (const int calls :
         {backend.score_calls, backend.top_k_calls, backend.bounds_calls, backend.score_pages_calls,
          backend.block_sums_calls, backend.rest_calls}) {
      EXPECT_LE(calls, 1) << "layer " << layer;
    }
    EXPECT_EQ(backend.bounds_calls, layer == 0 ? 0 : 1) << "quest's full layer needs none";
    EXPECT_EQ(backend.score_pages_calls, backend.bounds_calls);
    EXPECT_EQ(backend.rest_calls, layer == 0 ? 0 : 1);
  }
}

// The sums of a prompt's rows are computed once, whoever reads them.
TEST(Runner, SequencesThatShareRowsShareTheirSummaries) {
  const TestShape shape;
  for (const auto& [name, plan] :
       {std::pair("quest", "full:none budget:48"),
        std::pair("tidal", "full:none select:0 budget:16 scope:all own:on rest:16")}) {
    const std::unique_ptr<Backend> reference = make_reference_backend();
    CountingBackend backend(*reference);
    AttentionRunner runner(backend, shape.n_heads, 256, 16);
    const auto rows_of = [&](TestSequence& sequence) {
      sequence.run(runner, 0);
      backend.rows_summarised = 0;
      sequence.run(runner, 1);
      return backend.rows_summarised;
    };
    TestSequence first(shape, method(shape, name, plan), 256);
    first.append(205);
    EXPECT_GE(rows_of(first), 204) << name;
    TestSequence second = first.fork(), third = first.fork(method(shape, name, plan));
    EXPECT_EQ(rows_of(second), 0) << name << ": from what the first carries";
    EXPECT_LE(rows_of(third), 16) << name << ": the block that is not complete";
    for (TestSequence* sequence : {&first, &second, &third}) {
      sequence->append(1);
      EXPECT_EQ(rows_of(*sequence), 1) << name;
    }
    first.truncate(100);
    first.append(50, 2);
    EXPECT_GE(rows_of(first), 53) << name << ": the rewritten rows";
    EXPECT_LE(rows_of(first), 54) << name;
    EXPECT_EQ(rows_of(second), 0) << name << ": not by this one";
  }
}

TEST(Runner, AnEmptyBatchIsNothingToDo) {
  const std::unique_ptr<Backend> reference = make_reference_backend();
  CountingBackend backend(*reference);
  AttentionRunner runner(backend, 6, 64, 1);
  runner.run(0, {});
  EXPECT_EQ(backend.attend_calls, 0);
}

TEST(RunnerDeathTest, PromisesAreChecked) {
  const TestShape shape;
  const std::unique_ptr<Backend> reference = make_reference_backend();
  CountingBackend backend(*reference);
  TestSequence sequence(shape, method(shape, "full", ""), 128);
  sequence.append(100);
  AttentionRunner runner(backend, shape.n_heads, 64, 1);
  const std::vector<AttentionItem> two(2, sequence.item(0));
  EXPECT_DEATH(runner.run(0, two), "max_sequences");
  EXPECT_DEATH(runner.run(0, std::span(two).first(1)), "max_context");
}

}  // namespace
}  // namespace tidal::test
