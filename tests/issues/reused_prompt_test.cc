// The last row of a prompt whose other rows are cached already has the bits it has in a prompt that
// is read whole.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kv/page_pool.h"
#include "kv/sequence_kv.h"
#include "model/decoder.h"
#include "ops/cpu/cpu_backend.h"
#include "testing/paths.h"
#include "tidal/engine.h"

namespace tidal::test {
namespace {

std::string text(size_t n, size_t salt) {
  std::string result;
  for (size_t i = 0; i < n; ++i) {
    result += static_cast<char>('a' + (i * i + salt * 7 + i / 5) % 26);
  }
  return result;
}

// The logits [vocab_size] after the tokens, in two runs: the first `cached` of them, and the rest.
std::vector<float> logits_after(Decoder& decoder, PagePool& pool, std::span<const int32_t> tokens,
                                size_t cached) {
  SequenceKv kv(pool, decoder.limits().max_context);
  std::vector<float> logits;
  for (const auto part : {tokens.first(cached), tokens.subspan(cached)}) {
    if (part.empty()) continue;
    const int64_t first = kv.length();
    EXPECT_TRUE(kv.grow(std::ssize(part)));
    Batch batch;
    batch.tokens.assign(part.begin(), part.end());
    batch.sequences.push_back(
        {.kv = &kv, .first_position = first, .n_rows = static_cast<int32_t>(part.size())});
    const std::span<const float> got = decoder.forward(batch);
    logits.assign(got.begin(), got.end());
  }
  return logits;
}

TEST(ReusedPrompt, ItsLastRowAloneHasTheBitsOfTheWholePrompt) {
  const std::unique_ptr<Backend> backend = make_cpu_backend(2);
  const auto model = Model::load(data_path("tiny-llama.gguf"));
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16}) {
    Decoder decoder(model, *backend, {.max_rows = 512, .max_context = 512});
    PagePool pool(decoder.kv_layout(type, type), 64);
    for (const size_t n : {2, 16, 17, 100, 257, 400}) {
      std::vector<int32_t> tokens;
      for (size_t i = 0; i < n; ++i) {
        tokens.push_back(static_cast<int32_t>((i * i + n) % 100));
      }
      const std::vector<float> whole = logits_after(decoder, pool, tokens, 0);
      EXPECT_EQ(logits_after(decoder, pool, tokens, n - 1), whole)
          << n << " tokens, " << dtype_name(type);
    }
  }
}

TEST(ReusedPrompt, ARepeatedPromptIsAnsweredAsOneThatIsReadWhole) {
  EngineOptions options;
  options.model = data_path("tiny-llama.gguf");
  options.threads = 2;
  options.context_size = 1024;
  Engine engine(options);
  for (size_t i = 0; i < 8; ++i) {
    const auto ask = [&](bool cache_prompt) {
      Request request;
      request.prompt = engine.encode(text(40 + 37 * i, i));
      request.max_tokens = 32;
      request.ignore_eos = true;
      request.cache_prompt = cache_prompt;
      request.sampling.temperature = 0;
      return engine.run(std::move(request));
    };
    const Completion whole = ask(false);
    ask(true);
    const Completion repeated = ask(true);
    EXPECT_EQ(repeated.reused_tokens, (repeated.prompt_tokens - 1) / 16 * 16);
    EXPECT_EQ(repeated.tokens, whole.tokens) << repeated.prompt_tokens << " tokens";
  }
}

}  // namespace
}  // namespace tidal::test
