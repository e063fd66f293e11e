// The tidal method against tests/fixtures/algorithm1.py, an independent implementation of the
// paper's Algorithm 1: a prompt of over 1,000 tokens, then 32 teacher-forced steps under several
// plans.
//
// Where two scores are closer than rounding, picks may differ; a pick at the edge of a list carries
// little weight, which the tolerances allow for.
#include <gtest/gtest.h>

#include <algorithm>

#include "attention/registry.h"
#include "model/float_weights_backend.h"
#include "model/model_test_util.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"

namespace tidal::test {
namespace {

struct CaseResult {
  std::string plan;
  Distance from_algorithm1;
  Distance from_full;  // shows that the plan changes anything
  double share = 1;    // of the rows that was read
};

std::vector<CaseResult> run_cases(const std::string& name, const std::string& path,
                                  Backend& backend, DType cache_type) {
  const LogitsFixture fixture = read_fixture(name);
  const std::shared_ptr<const Model> model = Model::load(path);
  const Config& config = model->config();
  TestDecoder decoder(model, backend, cache_type, std::ssize(fixture.tokens));
  SequenceKv kv = decoder.make_sequence();
  const std::span<const int32_t> tokens(fixture.tokens);
  const auto n_prompt = static_cast<size_t>(fixture.n_prompt);
  decoder.run(kv, tokens.first(n_prompt), 512, LogitRows::kNone);
  std::vector<CaseResult> results;
  for (const FixtureCase& one : fixture.cases) {
    MethodOptions options;
    options.name = one.plan.empty() ? "full" : "tidal";
    options.plan = one.plan;
    options.min_context = 0;
    const auto method = make_method(options, config.n_layers(), config.attention().n_heads,
                                    config.attention().n_kv_heads, 2048);
    AttentionState state = method->make_state(decoder.decoder().attention_shape(), decoder.pool());
    kv.truncate(fixture.n_prompt);
    std::vector<std::vector<float>> rows;
    for (const int32_t token : tokens.subspan(n_prompt)) {
      rows.push_back(decoder.step(kv, token, method.get(), &state));
    }
    results.push_back({one.plan, distance(fixture, one.rows, rows),
                       distance(fixture, fixture.cases[0].rows, rows),
                       static_cast<double>(state.rows().k + state.rows().v) /
                           static_cast<double>(2 * state.rows_total)});
  }
  return results;
}

void expect_near(const std::vector<CaseResult>& results, double max_error, double mean_error) {
  int64_t same_top = 0;
  int64_t n_rows = 0;
  for (const CaseResult& result : results) {
    SCOPED_TRACE(result.plan.empty() ? "full attention" : result.plan);
    EXPECT_LT(result.from_algorithm1.max, max_error);
    EXPECT_LT(result.from_algorithm1.mean, mean_error);
    same_top += result.from_algorithm1.same_top;
    n_rows += result.from_algorithm1.n_rows;
    if (result.plan.empty()) continue;
    EXPECT_GT(result.from_full.mean, 10 * result.from_algorithm1.mean);
    EXPECT_LT(result.share, 0.8);
  }
  EXPECT_GE(static_cast<double>(same_top), 0.98 * static_cast<double>(n_rows));
}

TEST(Algorithm1, TinyReference) {
  const auto backend = make_reference_backend();
  expect_near(run_cases("algorithm1_deep", data_path("models/deep"), *backend, DType::kF32), 1e-3,
              1e-4);
}

TEST(Algorithm1, TinyCpu) {
  const auto backend = make_cpu_backend(2);
  expect_near(run_cases("algorithm1_deep", data_path("models/deep"), *backend, DType::kF32), 1e-3,
              1e-4);
}

// Nothing is rounded except by float32 itself.
TEST(Algorithm1, SmolLM2FloatWeights) {
  TIDAL_SKIP_WITHOUT(smollm2_path());
  const auto cpu = make_cpu_backend(2);
  FloatWeightsBackend backend(*cpu);
  expect_near(run_cases("algorithm1_smollm2", smollm2_path(), backend, DType::kF32), 1e-3, 1e-4);
}

// As in practice: quantized products, an f16 cache.
TEST(Algorithm1, SmolLM2Cpu) {
  TIDAL_SKIP_WITHOUT(smollm2_path());
  const auto backend = make_cpu_backend(2);
  expect_near(run_cases("algorithm1_smollm2", smollm2_path(), *backend, DType::kF16), 0.5, 0.02);
}

}  // namespace
}  // namespace tidal::test
