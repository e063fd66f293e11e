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
                                   .max_rows = kLimits.max_rows(),
                                   .max_logit_rows = kLimits.max_logit_rows()});
    scheduler_.emplace(kLimits, *runtime_);
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
  static std::vector<Running> running(const std::vector<Sequence*>& sequences) {
    std::vector<Running> result;
    for (Sequence* sequence : sequences) result.push_back({.sequence = sequence, .max_length = 64});
    return result;
  }
  std::vector<Scheduled> plan_of(const std::vector<Running>& running, int32_t prompt_rows = 16) {
    const auto parts = scheduler_->plan(running, prompt_rows, batch_);
    EXPECT_TRUE(parts.has_value());
    return {parts->begin(), parts->end()};
  }
  std::vector<Scheduled> plan(const std::vector<Sequence*>& sequences, int32_t prompt_rows = 16) {
    return plan_of(running(sequences), prompt_rows);
  }
  bool admits(int32_t n, int64_t max_length, const std::vector<Running>& running) {
    return admit(nullptr, n, max_length, running, ++last_id_).has_value();
  }
  std::optional<SequenceKv> admit(const std::string* salt, int32_t n, int64_t max_length,
                                  const std::vector<Running>& running, uint64_t id = 1) {
    const std::vector<int32_t> prompt = tokens(n);
    return scheduler_->admit(
        {.id = id, .salt = salt, .prompt = prompt, .n_tokens = n, .max_length = max_length},
        running);
  }
  // Reads n tokens and a decoded one, and keeps the rows where there is a salt; returns how many
  // were reused.
  int64_t admit_and_read(const std::string* salt, int32_t n) {
    const std::vector<int32_t> prompt = tokens(n);
    std::optional<SequenceKv> rows = admit(salt, n, 64, {});
    EXPECT_TRUE(rows.has_value());
    const auto reused = static_cast<size_t>(rows->length());
    Sequence sequence(sparse(0), runtime_->decoder().attention_shape(), *std::move(rows),
                      std::span(prompt).first(reused));
    sequence.enqueue(std::span(prompt).subspan(reused));
    runtime_->run(sequence);
    sequence.enqueue(7);
    runtime_->run(sequence);  // a sparse step: not kept
    if (salt != nullptr) scheduler_->keep(*salt, sequence);
    return static_cast<int64_t>(reused);
  }
  // Whether a refused request, which has kept rows, is looked up again: that shares pages.
  bool looks_up(const std::string& salt, const std::vector<Running>& running) {
    const uint64_t before = runtime_->pool().changes();
    EXPECT_FALSE(admit(&salt, 60, 64, running).has_value());
    return runtime_->pool().changes() != before;
  }

  std::optional<Runtime> runtime_;
  std::optional<Scheduler> scheduler_;
  Batch batch_;
  uint64_t last_id_ = 1;
};

TEST_F(SchedulerTest, EveryDecodingSequenceAndBehindThemAChunkOfTheShortestPrompt) {
  const auto one = decoding(5, 0), two = decoding(7, 0);
  const auto first = reading(30), second = reading(20);
  const std::vector<Scheduled> parts = plan({one.get(), first.get(), second.get(), two.get()});
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].index, 0u);
  EXPECT_EQ(parts[1].index, 3u);
  EXPECT_EQ(parts[2].index, 2u);
  EXPECT_EQ(parts[2].work.n_rows, 16);
  EXPECT_EQ(batch_.tokens.size(), 1u + 1 + 16);
  EXPECT_EQ(plan({first.get()}, 5)[0].work.n_rows, 5) << "no more than asked for";
}

// Rows that others read while it waited count for a prompt.
TEST_F(SchedulerTest, ALongPromptDoesNotWaitForEver) {
  const auto long_one = reading(60);
  std::vector<Running> all = running({long_one.get()});
  for (int n_short = 0;; ++n_short) {
    ASSERT_LT(n_short, 10);
    const auto short_one = reading(10);
    all.resize(1);
    all.push_back({.sequence = short_one.get(), .since = scheduler_->prompt_rows()});
    const std::vector<Scheduled> parts = plan_of(all);
    ASSERT_EQ(parts.size(), 1u);
    if (parts[0].index == 0) {
      EXPECT_EQ(n_short, 5) << "fifty rows of others, and ten that the next one has";
      break;
    }
    runtime_->forward(batch_);
    short_one->commit(parts[0].work);
  }
}

// A chunk that is not its prompt's last has no logits.
TEST_F(SchedulerTest, SaysWhichRowsOfLogitsAreWhose) {
  const auto one = decoding(5, 0), two = decoding(7, 0);
  const auto prompt = reading(20);
  std::vector<Scheduled> parts = plan({prompt.get(), one.get(), two.get()});
  ASSERT_EQ(parts.size(), 3u);
  EXPECT_EQ(parts[0].logits_row, 0);
  EXPECT_EQ(parts[1].logits_row, 1);
  EXPECT_EQ(parts[2].work.logit_rows(), 0);
  const auto vocab = static_cast<size_t>(runtime_->model().config().vocab_size);
  EXPECT_EQ(runtime_->forward(batch_).size(), 2 * vocab);
  for (const Scheduled& part : parts) {
    (part.index == 0 ? *prompt : part.index == 1 ? *one : *two).commit(part.work);
  }
  prompt->ask_for_prompt_logits();
  one->enqueue(3);
  parts = plan({prompt.get(), one.get()});
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[1].logits_row, 1);
  EXPECT_EQ(parts[1].work.logit_rows(), 4);
  EXPECT_EQ(runtime_->forward(batch_).size(), 5 * vocab);
}

TEST_F(SchedulerTest, CorrectionsShareTheRowsOfOneChunk) {
  const auto one = decoding(5, 10, 10), two = decoding(7, 10, 10), three = decoding(3, 2, 10);
  const std::vector<Scheduled> parts = plan({one.get(), two.get(), three.get()});
  ASSERT_EQ(parts.size(), 2u) << "ten rows and ten are more than sixteen";
  EXPECT_EQ(parts[0].index, 2u);
  EXPECT_EQ(parts[0].work.kind, WorkKind::kDecode);
  EXPECT_EQ(parts[0].logits_row, 0);
  EXPECT_EQ(parts[1].work.kind, WorkKind::kCorrect);
  EXPECT_EQ(parts[1].work.n_rows, 10);
  EXPECT_FALSE(parts[1].work.last);
}

// Of 8 pages: what a prompt takes, and one more for everybody, but no more than they may use.
TEST_F(SchedulerTest, AdmitsWhileThereIsRoomForEverybodyToGoOn) {
  EXPECT_TRUE(admits(100, 128, {})) << "any request fits alone";
  const auto other = reading(50);
  const auto with = [&](int64_t max_length) {
    return std::vector<Running>{{.sequence = other.get(), .max_length = max_length}};
  };
  EXPECT_TRUE(admits(60, 64, with(64))) << "4 pages and 4";
  EXPECT_FALSE(admits(60, 64, with(128))) << "4 pages and 5";
  EXPECT_FALSE(admits(60, 128, with(64)));
  EXPECT_TRUE(admits(40, 128, with(64)));
}

TEST_F(SchedulerTest, AdmitsAsManyAsABatchHolds) {
  const auto a = reading(3), b = reading(3), c = reading(3), d = reading(3);
  EXPECT_TRUE(admits(3, 4, running({a.get()})));
  EXPECT_FALSE(admits(3, 4, running({a.get(), b.get(), c.get(), d.get()})));
}

// The engine takes one out, and asks again.
TEST_F(SchedulerTest, PlansNothingWhenPagesAreTooFew) {
  const auto one = reading(100), two = decoding(31, 1);
  plan({one.get()}, 96);
  EXPECT_EQ(runtime_->pool().free_pages(), 0);
  two->enqueue(4);
  const std::vector<Running> both = running({one.get(), two.get()});
  EXPECT_FALSE(scheduler_->plan(both, 16, batch_).has_value());
  EXPECT_TRUE(batch_.tokens.empty());
}

TEST_F(SchedulerTest, KeepsExactRowsUntilPagesAreShort) {
  const std::string salt = "of one user";
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
    runtime_->forward(batch_);
    prompt->commit(parts[0].work);
  }
  EXPECT_EQ(runtime_->pool().free_pages(), 0);
  const std::optional<SequenceKv> left = admit(&salt, 48, 48, {});
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(left->length(), 16) << "no more than needed made way";
}

// Of 8 pages 3 are kept, of this prompt, and it needs one more; the other needs 4, or 5.
TEST_F(SchedulerTest, ARefusedRequestIsLookedUpAgainOnlyWhenPagesAreGivenBack) {
  const std::string salt = "a";
  admit_and_read(&salt, 48);
  const auto other = reading(50);
  std::vector<Running> running = this->running({other.get()});
  std::optional<SequenceKv> page(std::in_place, runtime_->pool(), kPageRows);
  ASSERT_TRUE(page->grow(1));
  EXPECT_TRUE(looks_up(salt, running));
  EXPECT_FALSE(looks_up(salt, running));
  running[0].max_length = 128;
  EXPECT_FALSE(looks_up(salt, running)) << "others may need more or less meanwhile";
  page.reset();
  EXPECT_TRUE(looks_up(salt, running));
  running[0].max_length = 64;
  EXPECT_TRUE(admit(&salt, 60, 64, running).has_value());
  EXPECT_TRUE(admit(&salt, 60, 64, {}).has_value());
}

TEST_F(SchedulerTest, ARefusedRequestIsAdmittedOnceItsRowsAreKept) {
  const std::string salt = "a";
  const auto other = decoding(48, 0);
  std::vector<Running> running = this->running({other.get()});
  running[0].max_length = 128;
  EXPECT_FALSE(admit(&salt, 60, 64, running).has_value()) << "4 pages and 2, of 5";
  scheduler_->keep(salt, *other);
  EXPECT_TRUE(admit(&salt, 60, 64, running).has_value());
}

TEST_F(SchedulerTest, KeptPagesThatMakeWayAreNoRoomForWhoWaits) {
  const std::string salt = "a";
  admit_and_read(&salt, 48);
  const auto other = reading(100);
  const std::vector<Running> running = this->running({other.get()});
  const auto read = [&](int32_t rows) {
    const std::vector<Scheduled> parts = plan_of(running, rows);
    runtime_->forward(batch_);
    other->commit(parts[0].work);
  };
  for (int i = 0; i < 5; ++i) read(16);
  EXPECT_EQ(runtime_->pool().free_pages(), 0);
  EXPECT_TRUE(looks_up(salt, running));
  read(16);
  EXPECT_EQ(scheduler_->kept_pages(), 2);
  EXPECT_FALSE(looks_up(salt, running));
}

TEST_F(SchedulerTest, NothingToDoIsAnEmptyPlan) {
  EXPECT_TRUE(plan({}).empty());
  const auto idle = reading(4);
  runtime_->run(*idle);
  EXPECT_TRUE(plan({idle.get()}).empty());
}

}  // namespace
}  // namespace tidal::test
