#include "runtime/sequence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "runtime/runtime.h"
#include "testing/paths.h"
#include "testing/poison/poison_backend.h"  // the suite runs on it too

namespace tidal::test {
namespace {

constexpr int64_t kMaxLength = 160;
constexpr const char* kSparse = "full:0 select:1 budget:16 scope:all own:on";

MethodOptions method(const std::string& name, int32_t correct_every = 0) {
  MethodOptions options;
  options.name = name;
  if (name == "tidal") options.plan = kSparse;
  if (name == "quest") options.plan = "full:0 budget:32 page:16";
  if (name == "window") options.plan = "sinks:2 budget:20";
  if (name == "oracle") options.plan = "full:none budget:12";
  options.min_context = 0;
  options.correct_every = correct_every;
  return options;
}

std::vector<int32_t> some_tokens(int64_t n, int32_t salt = 0) {
  std::vector<int32_t> tokens;
  for (int32_t i = 0; i < n; ++i) tokens.push_back(3 + (i * 7 + i * i + salt) % 200);
  return tokens;
}

std::vector<float> copy(std::span<const float> logits) { return {logits.begin(), logits.end()}; }

class SequenceTest : public testing::Test {
 protected:
  static EngineOptions engine(int32_t chunk) {
    EngineOptions options;
    options.prefill_chunk = chunk;
    options.threads = 2;
    return options;
  }
  Runtime runtime(int32_t chunk = 32, int64_t n_pages = 100, int32_t max_sequences = 4) const {
    return {model_,
            engine(chunk),
            {.max_sequences = max_sequences,
             .max_length = kMaxLength,
             .n_pages = n_pages,
             .max_logit_rows = kLogitRows}};
  }

  std::shared_ptr<const Model> model_ = Model::load(data_path("tiny-llama.gguf"));
};

// The same steps written out over the decoder: prompt, decoded tokens, and every `stride` tokens a
// recomputation of the last rows by full attention.
class Reference {
 public:
  Reference(Runtime& runtime, const MethodOptions& options)
      : decoder_(runtime.decoder()),
        method_(runtime.method(options)),
        state_(method_->make_state(decoder_.attention_shape(), runtime.pool())),
        kv_(runtime.pool(), kMaxLength) {}

  std::vector<float> run(std::span<const int32_t> tokens, bool by_method) {
    Batch batch;
    const int64_t first = kv_.length();
    EXPECT_TRUE(kv_.grow(std::ssize(tokens)));
    batch.tokens.assign(tokens.begin(), tokens.end());
    batch.sequences.push_back({.kv = &kv_,
                               .first_position = first,
                               .n_rows = static_cast<int32_t>(tokens.size()),
                               .kind = by_method ? AttendKind::kStep : AttendKind::kChunk,
                               .method = by_method ? method_.get() : nullptr,
                               .state = by_method ? &state_ : nullptr});
    return copy(decoder_.forward(batch));
  }
  void correct(std::span<const int32_t> tokens) {
    kv_.truncate(kv_.length() - std::ssize(tokens));
    state_.truncate(kv_.length());
    run(tokens, false);
  }
  RowsRead rows() const { return state_.rows(); }

 private:
  Decoder& decoder_;
  std::shared_ptr<const AttentionMethod> method_;
  AttentionState state_;
  SequenceKv kv_;
};

TEST_F(SequenceTest, RunsPromptStepsAndCorrectionsAsWrittenOut) {
  const std::vector<int32_t> prompt = some_tokens(60);
  for (const char* name : {"full", "tidal", "quest", "window", "oracle"}) {
    for (const int32_t stride : {0, 4}) {
      if (stride > 0 && name == std::string("full")) continue;  // it has nothing to correct
      Runtime runtime = this->runtime(64);
      Sequence sequence = runtime.sequence(runtime.method(method(name, stride)));
      Reference reference(runtime, method(name, stride));
      sequence.enqueue(prompt);
      ASSERT_EQ(copy(runtime.run(sequence)), reference.run(prompt, false)) << name;
      std::vector<int32_t> uncorrected;
      for (int32_t token = 5; token < 18; ++token) {
        if (stride > 0 && std::ssize(uncorrected) == stride) {
          reference.correct(uncorrected);
          uncorrected.clear();
        }
        uncorrected.push_back(token);
        sequence.enqueue(token);
        ASSERT_EQ(copy(runtime.run(sequence)), reference.run({&token, 1}, true)) << name << token;
      }
      EXPECT_EQ(sequence.corrections(), stride == 0 ? 0 : 3) << name;
      EXPECT_EQ(sequence.rows_read().k, reference.rows().k) << name;
      EXPECT_EQ(sequence.rows_read().v, reference.rows().v) << name;
    }
  }
}

TEST_F(SequenceTest, ChunksAndPiecesOfAPromptMakeNoDifference) {
  const std::vector<int32_t> prompt = some_tokens(100);
  const auto logits = [&](int32_t chunk, size_t cut) {
    Runtime runtime = this->runtime(chunk);
    Sequence sequence = runtime.sequence(runtime.method(method("full")));
    sequence.enqueue(std::span(prompt).first(cut));
    runtime.run(sequence);
    sequence.enqueue(std::span(prompt).subspan(cut));
    return copy(runtime.run(sequence));
  };
  const std::vector<float> expected = logits(128, 50);
  for (const int32_t chunk : {2, 7, 31, 128}) {
    EXPECT_EQ(logits(chunk, 98), expected) << chunk;
    EXPECT_EQ(logits(chunk, 10), expected) << chunk;
  }
}

TEST_F(SequenceTest, ACorrectionLongerThanAChunkTakesSeveralAndGivesTheSameBits) {
  for (const char* name : {"tidal", "quest", "window", "oracle"}) {
    const auto logits = [&](int32_t chunk) {
      Runtime runtime = this->runtime(chunk);
      Sequence sequence = runtime.sequence(runtime.method(method(name, 30)));
      sequence.enqueue(some_tokens(60));
      std::vector<std::vector<float>> all = {copy(runtime.run(sequence))};
      for (int32_t token = 5; token < 69; ++token) {
        sequence.enqueue(token);
        all.push_back(copy(runtime.run(sequence)));
      }
      EXPECT_EQ(sequence.corrections(), 2) << chunk;
      EXPECT_EQ(sequence.exact(), 120) << chunk;
      return all;
    };
    const std::vector<std::vector<float>> whole = logits(64);
    EXPECT_EQ(logits(7), whole) << name;
    EXPECT_EQ(logits(29), whole) << name;
  }
}

TEST_F(SequenceTest, OnlyRowsOfFullAttentionAreExact) {
  Runtime runtime = this->runtime();
  Sequence sequence = runtime.sequence(runtime.method(method("tidal", 4)));
  sequence.enqueue(some_tokens(40));
  EXPECT_EQ(sequence.exact(), 0);
  runtime.run(sequence);
  EXPECT_EQ(sequence.exact(), 40);
  for (int32_t token = 5; token < 10; ++token) {
    sequence.enqueue(token);
    runtime.run(sequence);
  }
  EXPECT_EQ(sequence.exact(), 44) << "four were corrected before the fifth";
  EXPECT_EQ(sequence.cached(), 45);
  // A new prompt does not start behind rows that could have been corrected.
  sequence.enqueue(some_tokens(10, 3));
  runtime.run(sequence);
  EXPECT_EQ(sequence.corrections(), 2);
  EXPECT_EQ(sequence.exact(), 55);

  Sequence never = runtime.sequence(runtime.method(method("tidal", 0)));
  never.enqueue(some_tokens(40));
  runtime.run(never);
  never.enqueue(5);
  runtime.run(never);
  never.enqueue(some_tokens(10, 3));
  runtime.run(never);
  EXPECT_EQ(never.exact(), 40) << "rows behind a sparse step's depend on it";
}

TEST_F(SequenceTest, RewindsToAnyLengthAndGoesOnAsIfNothingHadBeen) {
  for (const char* name : {"tidal", "quest", "window", "oracle"}) {
    Runtime runtime = this->runtime();
    Sequence straight = runtime.sequence(runtime.method(method(name)));
    Sequence rewound = runtime.sequence(runtime.method(method(name)));
    for (Sequence* each : {&straight, &rewound}) {
      each->enqueue(some_tokens(60));
      runtime.run(*each);
    }
    for (int32_t token = 50; token < 53; ++token) {
      rewound.enqueue(token);
      runtime.run(rewound);
    }
    rewound.enqueue(77);  // queued only
    rewound.rewind(63);
    EXPECT_EQ(rewound.cached(), 63);
    rewound.rewind(60);
    for (int32_t token = 5; token < 12; ++token) {
      straight.enqueue(token);
      rewound.enqueue(token);
      ASSERT_EQ(copy(runtime.run(rewound)), copy(runtime.run(straight))) << name << token;
    }
    rewound.rewind(31);
    straight.rewind(31);
    EXPECT_EQ(rewound.exact(), 31);
    rewound.enqueue(some_tokens(9, 1));
    straight.enqueue(some_tokens(9, 1));
    ASSERT_EQ(copy(runtime.run(rewound)), copy(runtime.run(straight)));
  }
}

TEST_F(SequenceTest, ForksGoTheirOwnWays) {
  for (const char* name : {"tidal", "quest", "window", "oracle"}) {
    Runtime runtime = this->runtime();
    Sequence sequence = runtime.sequence(runtime.method(method(name)));
    sequence.enqueue(some_tokens(60));
    runtime.run(sequence);
    sequence.enqueue(9);
    runtime.run(sequence);
    const int64_t free = runtime.pool().free_pages();
    Sequence same = sequence.fork();
    Sequence full = sequence.fork(runtime.method(method("full")));
    EXPECT_EQ(runtime.pool().free_pages(), free) << "pages are shared until one side writes";
    EXPECT_EQ(same.rows_read().k, 0);
    same.enqueue(100);
    full.enqueue(100);
    Sequence* const both[] = {&same, &full};
    const std::vector<float> forked = copy(runtime.run(both));
    sequence.enqueue(100);
    const std::vector<float> alone = copy(runtime.run(sequence));
    ASSERT_EQ(forked.size(), 2 * alone.size());
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), forked.begin())) << name;
    EXPECT_FALSE(std::equal(alone.begin(), alone.end(), forked.begin() + std::ssize(alone)));
    EXPECT_EQ(full.rows().share(), 1.0);
    EXPECT_LT(same.rows().share(), 1.0);
  }
}

TEST_F(SequenceTest, APoolThatIsUsedUpRefusesAndLeavesTheSequenceAsItWas) {
  Runtime runtime = this->runtime(32, /*n_pages=*/4);
  Sequence first = runtime.sequence(runtime.method(method("tidal", 4)));
  first.enqueue(some_tokens(50));
  runtime.run(first);
  Sequence second = runtime.sequence(runtime.method(method("full")));
  second.enqueue(some_tokens(5));
  Batch batch;
  const Work work = second.next(32);
  EXPECT_FALSE(second.schedule(work, batch));
  EXPECT_TRUE(batch.sequences.empty());
  EXPECT_EQ(second.cached(), 0);
  first.rewind(10);
  EXPECT_TRUE(second.schedule(second.next(32), batch));
}

// A correction that found no page for its copy of a shared page resumes where it stopped.
TEST_F(SequenceTest, ACorrectionWaitsForAPage) {
  Runtime runtime = this->runtime(32, /*n_pages=*/6);
  Sequence sequence = runtime.sequence(runtime.method(method("tidal", 4)));
  sequence.enqueue(some_tokens(40));
  runtime.run(sequence);
  for (int32_t token = 5; token < 9; ++token) {
    sequence.enqueue(token);
    runtime.run(sequence);
  }
  Sequence witness = sequence.fork(runtime.method(method("full")));
  Sequence hog = runtime.sequence(runtime.method(method("full")));
  hog.enqueue(some_tokens(48));
  runtime.run(hog);
  ASSERT_EQ(runtime.pool().free_pages(), 0);
  sequence.enqueue(9);
  Batch batch;
  EXPECT_FALSE(sequence.schedule(sequence.next(32), batch));
  hog.rewind(0);
  runtime.run(sequence);
  EXPECT_EQ(sequence.corrections(), 1);
  EXPECT_EQ(sequence.exact(), 44);
  EXPECT_EQ(sequence.cached(), 45);
}

// Of every row, in chunks of at most kLogitRows: the logits of the same tokens read one by one.
TEST_F(SequenceTest, EveryRowOfAPromptMayHaveLogits) {
  Runtime runtime = this->runtime(/*chunk=*/128);
  const std::vector<int32_t> prompt = some_tokens(70);
  Sequence expected = runtime.sequence(runtime.full_attention());
  Sequence sequence = runtime.sequence(runtime.full_attention());
  sequence.ask_for_prompt_logits();
  sequence.enqueue(prompt);
  size_t row = 0;
  for (const int32_t n : {32, 32, 6}) {
    const Work work = sequence.next(128);
    ASSERT_EQ(work.n_rows, n);
    ASSERT_EQ(work.logit_rows(), n);
    Batch batch;
    ASSERT_EQ(sequence.pages_needed(work), 2 - (n == 6 ? 1 : 0));
    ASSERT_TRUE(sequence.schedule(work, batch));
    const std::vector<float> got = copy(runtime.forward(batch));
    sequence.commit(work);
    const size_t vocab = got.size() / static_cast<size_t>(n);
    for (size_t i = 0; i < static_cast<size_t>(n); ++i, ++row) {
      expected.enqueue(std::span(prompt).subspan(row, 1));
      ASSERT_EQ(copy(std::span(got).subspan(i * vocab, vocab)), copy(runtime.run(expected)));
    }
  }
  sequence.enqueue(5);
  EXPECT_EQ(sequence.next(128).logit_rows(), 1) << "decoded ones as ever";
}

}  // namespace
}  // namespace tidal::test
