#include "runtime/runtime.h"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "testing/error.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

class RuntimeMemory : public testing::Test {
 protected:
  RuntimeMemory() {
    runtime_.ask_for_memory([this] {
      const int64_t left = pages_ - runtime_.written_pages();
      return static_cast<uint64_t>(left) * kPageRows * runtime_.pool().bytes_per_token();
    });
  }
  static EngineOptions narrow() {
    EngineOptions options;
    options.threads = 1;
    options.prefill_chunk = 8;
    return options;
  }
  Sequence sequence() { return runtime_.sequence(runtime_.full_attention()); }
  void read(Sequence& sequence, size_t n) {
    sequence.enqueue(std::vector<int32_t>(n, 7));
    runtime_.run(sequence);
  }

  int64_t pages_ = 4;  // that fit into the machine's memory
  Runtime runtime_{Model::load(data_path("tiny-llama.gguf")),
                   narrow(),
                   {.max_sequences = 2, .max_length = 1000}};
};

TEST_F(RuntimeMemory, RefusesAPromptBeforeAnyOfItIsRead) {
  Sequence sequence = this->sequence();
  const std::vector<std::string> parts = {"KV cache", "80 tokens", "GiB of memory is free",
                                          "`context_size`", "`k_cache_type`"};
  expect_error(ErrorCode::kExhausted, parts, [&] { read(sequence, 65); });
  EXPECT_EQ(sequence.cached(), 0);
  sequence.rewind(64);
  runtime_.run(sequence);
  EXPECT_EQ(sequence.cached(), 64);
  EXPECT_EQ(runtime_.written_pages(), 4);
  expect_error(ErrorCode::kExhausted, {"KV cache"}, [&] { read(sequence, 1); });
}

TEST_F(RuntimeMemory, WhatWasWrittenBeforeCostsNothing) {
  {
    Sequence sequence = this->sequence();
    read(sequence, 50);
    sequence.rewind(20);
    read(sequence, 44);
  }
  Sequence sequence = this->sequence();
  read(sequence, 30);
  Sequence fork = sequence.fork();
  read(fork, 2);  // in its own copy of the last page
  read(fork, 16);
  EXPECT_EQ(runtime_.written_pages(), 4);
  expect_error(ErrorCode::kExhausted, {"KV cache"}, [&] { read(sequence, 3); });
}

TEST_F(RuntimeMemory, TellsWhatASequenceCouldHaveAlone) {
  Sequence sequence = this->sequence();
  read(sequence, 33);
  runtime_.require_memory(64);
  expect_error(ErrorCode::kExhausted, {"65 tokens"}, [&] { runtime_.require_memory(65); });
  EXPECT_TRUE(runtime_.has_memory_for_pages(1));
  EXPECT_FALSE(runtime_.has_memory_for_pages(2));
}

}  // namespace
}  // namespace tidal::test
