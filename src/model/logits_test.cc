// Logits against Hugging Face transformers: the fixtures of tests/fixtures/make_logits_fixtures.py.
#include <gtest/gtest.h>

#include <algorithm>

#include "model/model_test_util.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"

namespace tidal::test {
namespace {

// Runs the first n tokens of a fixture and compares those rows among them that it covers.
Distance run_fixture(const std::string& name, const std::string& path, Backend& backend,
                     DType cache_type, size_t n_tokens) {
  const LogitsFixture fixture = read_fixture(name);
  n_tokens = std::min(n_tokens, fixture.tokens.size());
  const std::shared_ptr<const Model> model = Model::load(path);
  TestDecoder decoder(model, backend, cache_type, std::ssize(fixture.tokens));
  SequenceKv kv = decoder.make_sequence();
  const std::vector<std::vector<float>> all = split_rows(
      decoder.run(kv, std::span(fixture.tokens).first(n_tokens), 64), model->config().vocab_size);
  std::vector<FixtureRow> expected;
  std::vector<std::vector<float>> rows;
  for (const FixtureRow& row : fixture.cases[0].rows) {
    if (row.position >= static_cast<int64_t>(n_tokens)) break;
    expected.push_back(row);
    rows.push_back(all[static_cast<size_t>(row.position)]);
  }
  EXPECT_FALSE(rows.empty());
  const Distance result = distance(fixture, expected, rows);
  testing::Test::RecordProperty("max_error", fmt::format("{:.2e}", result.max));
  testing::Test::RecordProperty("mean_error", fmt::format("{:.2e}", result.mean));
  return result;
}

// A fixture and its model, below tests/data/models.
class TinyModel : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(TinyModel, ReferenceIsWithinAThousandth) {
  const auto [fixture, path] = GetParam();
  const auto backend = make_reference_backend();
  const Distance d =
      run_fixture(fixture, data_path(std::string("models/") + path), *backend, DType::kF32, 1000);
  EXPECT_LT(d.max, 1e-3);
  EXPECT_EQ(d.same_top, d.n_rows);
}

// These files hold floats, so the CPU back end quantizes nothing.
TEST_P(TinyModel, CpuIsWithinAThousandth) {
  const auto [fixture, path] = GetParam();
  const auto backend = make_cpu_backend(2);
  const Distance d =
      run_fixture(fixture, data_path(std::string("models/") + path), *backend, DType::kF32, 1000);
  EXPECT_LT(d.max, 1e-3);
}

INSTANTIATE_TEST_SUITE_P(
    Logits, TinyModel,
    testing::Values(std::pair("llama3", "llama3"), std::pair("llama3", "llama3.gguf"),
                    std::pair("mistral", "mistral"), std::pair("qwen2", "qwen2"),
                    std::pair("qwen2", "qwen2.gguf"), std::pair("qwen3", "qwen3"),
                    std::pair("qwen3", "qwen3.gguf"), std::pair("yarn", "yarn"),
                    std::pair("yarn", "yarn.gguf"), std::pair("linear", "linear"),
                    std::pair("linear", "linear.gguf"),
                    std::pair("mistral", "mistral/model.safetensors.index.json"),
                    std::pair("qwen2", "qwen2/model.safetensors"), std::pair("deep", "deep")),
    [](const auto& test) {
      std::string name = test.param.second;
      std::replace_if(
          name.begin(), name.end(), [](char c) { return !std::isalnum(c); }, '_');
      return name;
    });

TEST(Logits, Stories260K) {
  const std::string path = shared_model("stories260K/stories260Ktok512.gguf");
  TIDAL_SKIP_WITHOUT(path);
  const auto backend = make_reference_backend();
  const Distance d = run_fixture("stories260K", path, *backend, DType::kF32, 1000);
  EXPECT_LT(d.max, 1e-3);
  EXPECT_EQ(d.same_top, d.n_rows);
}

TEST(Logits, TinyStories656K) {
  const std::string path = shared_model("tinystories-656k");
  TIDAL_SKIP_WITHOUT(path);
  const auto backend = make_reference_backend();
  const Distance d = run_fixture("tinystories-656k", path, *backend, DType::kF32, 1000);
  EXPECT_LT(d.max, 1e-3);
  EXPECT_EQ(d.same_top, d.n_rows);
}

// A short excerpt: the reference back end is slow on purpose.
TEST(Logits, SmolLM2Reference) {
  TIDAL_SKIP_WITHOUT(smollm2_path());
  const auto backend = make_reference_backend();
  const Distance d = run_fixture("smollm2", smollm2_path(), *backend, DType::kF32, 24);
  EXPECT_LT(d.max, 1e-3);
  EXPECT_EQ(d.same_top, d.n_rows);
}

TEST(Logits, SmolLM2Cpu) {
  TIDAL_SKIP_WITHOUT(smollm2_path());
  const auto backend = make_cpu_backend(2);
  const Distance d = run_fixture("smollm2", smollm2_path(), *backend, DType::kF16, 1000);
  EXPECT_LT(d.mean, 0.02);
  EXPECT_GE(d.n_rows, 256);
  EXPECT_GE(static_cast<double>(d.same_top), 0.98 * static_cast<double>(d.n_rows));
}

// 8-bit keys and values move a log-probability by 0.039 on average, f16 by 0.001.
TEST(Logits, SmolLM2CpuWithACacheOf8Bits) {
  TIDAL_SKIP_WITHOUT(smollm2_path());
  const auto backend = make_cpu_backend(2);
  const Distance f16 = run_fixture("smollm2", smollm2_path(), *backend, DType::kF16, 1000);
  const Distance q8 = run_fixture("smollm2", smollm2_path(), *backend, DType::kQ8_0, 1000);
  EXPECT_GT(q8.mean, f16.mean);
  EXPECT_LT(q8.mean, 0.05);
  EXPECT_GE(static_cast<double>(q8.same_top), 0.97 * static_cast<double>(q8.n_rows));
}

}  // namespace
}  // namespace tidal::test
