#include "engine/scheduler.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/runtime.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

constexpr SchedulerLimits kLimits{.max_sequences = 4, .prefill_chunk = 16};

class SchedulerTest : public testing::Test {
 protected:
  SchedulerTest() {
    EngineOptions options;
    options.threads = 1;
    options.prefill_chunk = kLimits.prefill_chunk;
    runtime_.emplace(Model::load(data_path("tiny-llama.gguf")), options,
                     RuntimeLimits{.max_sequences = kLimits.max_sequences,
                                   .max_length = 128,
                                   .n_pages = 8,
                                   .max_rows = kLimits.max_rows()});
    scheduler_.emplace(kLimits, runtime_->pool());
  }

  static std::vector<int32_t> tokens(int32_t n) {
    std::vector<int32_t> ids;
    for (int32_t i = 0; i < n; ++i) ids.push_back(3 + i % 200);
    return ids;
  }
  std::shared_ptr<const AttentionMethod> sparse(int32_t correct_every) {
    MethodOptions options;
    options.plan = "full:0 select:1 budget:8 scope:all";
    options.min_context = 0;
    options.correct_every = correct_every;
    return runtime_->method(options);
  }
  // A sequence of n prompt tokens, read, and d decoded ones.
  std::unique_ptr<Sequence> decoding(int32_t n, int32_t d, int32_t correct_every = 0) {
    auto sequence = std::make_unique<Sequence>(runtime_->sequence(sparse(correct_every)));
    sequence->enqueue(tokens(n));
    runtime_->run(*sequence);
    for (int32_t i = 0; i < d; ++i) {
      sequence->enqueue(5 + i);
      runtime_->run(*sequence);
    }
    sequence->enqueue(99);
    return sequence;
  }
  std::unique_ptr<Sequence> reading(int32_t n) {
    auto sequence = std::make_unique<Sequence>(runtime_->sequence(sparse(0)));
    sequence->enqueue(tokens(n));
    return sequence;
  }
  std::vector<Scheduled> plan(std::vector<Sequence*> running) {
    const std::span<const Scheduled> parts = scheduler_->plan(running, batch_);
    return {parts.begin(), parts.end()};
  }

  std::optional<Runtime> runtime_;
  std::optional<Scheduler> scheduler_;
  Batch batch_;
};

TEST_F(SchedulerTest, EveryDecodingSequenceAndOneChunkOfTheOldestPrompt) {
  const auto one = decoding(5, 0), two = decoding(7, 0);
  const auto first = reading(20), second = reading(6);
  const std::vector<Scheduled> parts = plan({one.get(), first.get(), second.get(), two.get()});
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].index, 0u);
  EXPECT_EQ(parts[1].index, 1u);
  EXPECT_EQ(parts[1].work.n_rows, 16);
  EXPECT_EQ(parts[2].index, 3u);
  EXPECT_EQ(batch_.tokens.size(), 1u + 16 + 1);
}

// A chunk that is not its prompt's last has no logits, so those behind it move up.
TEST_F(SchedulerTest, SaysWhichRowsOfLogitsAreWhose) {
  const auto one = decoding(5, 0), two = decoding(7, 0);
  const auto prompt = reading(20);
  std::vector<Scheduled> parts = plan({one.get(), prompt.get(), two.get()});
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_TRUE(parts[0].work.last);
  EXPECT_EQ(parts[0].logits_row, 0);
  EXPECT_FALSE(parts[1].work.last);
  EXPECT_TRUE(parts[2].work.last);
  EXPECT_EQ(parts[2].logits_row, 1);
  const auto vocab = static_cast<size_t>(runtime_->model().config().vocab_size);
  EXPECT_EQ(runtime_->decoder().forward(batch_).size(), 2 * vocab);
  for (const Scheduled& part : parts) {
    (part.index == 1 ? *prompt : part.index == 0 ? *one : *two).commit(part.work);
  }
  parts = plan({prompt.get()});
  ASSERT_EQ(parts.size(), 1u);
  EXPECT_EQ(parts[0].work.n_rows, 4);
  EXPECT_TRUE(parts[0].work.last);
}

TEST_F(SchedulerTest, CorrectionsShareTheRowsOfOneChunk) {
  const auto one = decoding(5, 10, 10), two = decoding(7, 10, 10), three = decoding(3, 2, 10);
  const std::vector<Scheduled> parts = plan({one.get(), two.get(), three.get()});
  ASSERT_EQ(parts.size(), 2u) << "ten rows and ten are more than sixteen";
  EXPECT_EQ(parts[0].work.kind, WorkKind::kCorrect);
  EXPECT_EQ(parts[0].work.n_rows, 10);
  EXPECT_FALSE(parts[0].work.last);
  EXPECT_EQ(parts[1].index, 2u);
  EXPECT_EQ(parts[1].work.kind, WorkKind::kDecode);
  EXPECT_EQ(parts[1].logits_row, 0);
}

TEST_F(SchedulerTest, AdmitsWhatTheCacheCanHoldInTheEnd) {
  const std::vector<int32_t> prompt = tokens(10);
  EXPECT_TRUE(scheduler_->admit(nullptr, prompt, 64).has_value());
  EXPECT_FALSE(scheduler_->admit(nullptr, prompt, 65).has_value()) << "4 of 8 pages are set aside";
  EXPECT_TRUE(scheduler_->admit(nullptr, prompt, 16).has_value());
  scheduler_->release(64);
  EXPECT_TRUE(scheduler_->admit(nullptr, prompt, 65).has_value());
}

TEST_F(SchedulerTest, AdmitsAsManyAsABatchHolds) {
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(scheduler_->admit(nullptr, tokens(3), 16).has_value());
  EXPECT_FALSE(scheduler_->admit(nullptr, tokens(3), 16).has_value());
  scheduler_->release(16);
  EXPECT_TRUE(scheduler_->admit(nullptr, tokens(3), 16).has_value());
}

TEST_F(SchedulerTest, KeepsExactRowsUntilPagesAreShort) {
  const std::string salt = "of one user";
  const auto admit_and_read = [&](const std::string* of, int32_t n) {
    const std::vector<int32_t> prompt = tokens(n);
    std::optional<SequenceKv> rows = scheduler_->admit(of, prompt, 64);
    EXPECT_TRUE(rows.has_value());
    const int64_t reused = rows->length();
    AttentionShape shape = runtime_->decoder().attention_shape();
    Sequence sequence(sparse(0), shape, *std::move(rows),
                      std::span(prompt).first(static_cast<size_t>(reused)));
    sequence.enqueue(std::span(prompt).subspan(static_cast<size_t>(reused)));
    runtime_->run(sequence);
    sequence.enqueue(7);
    runtime_->run(sequence);  // a sparse step: not kept
    if (of != nullptr) scheduler_->keep(*of, sequence);
    scheduler_->release(64);
    return reused;
  };
  EXPECT_EQ(admit_and_read(&salt, 48), 0);
  EXPECT_EQ(runtime_->pool().free_pages(), 8 - 3);
  EXPECT_EQ(admit_and_read(&salt, 48), 32) << "a row at least gives logits";
  EXPECT_EQ(admit_and_read(&salt, 63), 48);
  EXPECT_EQ(admit_and_read(nullptr, 60), 0);
  EXPECT_EQ(runtime_->pool().free_pages(), 8 - 3);

  const auto prompt = reading(112);
  for (int i = 0; i < 7; ++i) {
    const std::vector<Scheduled> parts = plan({prompt.get()});
    ASSERT_EQ(parts.size(), 1u);
    runtime_->decoder().forward(batch_);
    prompt->commit(parts[0].work);
  }
  EXPECT_EQ(runtime_->pool().free_pages(), 0);
  const std::optional<SequenceKv> left = scheduler_->admit(&salt, tokens(48), 48);
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(left->length(), 16) << "no more than needed made way";
}

TEST_F(SchedulerTest, NothingToDoIsAnEmptyPlan) {
  EXPECT_TRUE(plan({}).empty());
  const auto idle = reading(4);
  runtime_->run(*idle);
  EXPECT_TRUE(plan({idle.get()}).empty());
}

}  // namespace
}  // namespace tidal::test
