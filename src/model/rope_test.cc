#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "model/hf_config.h"
#include "model/model_test_util.h"
#include "testing/error.h"

namespace tidal::test {
namespace {

// tests/fixtures/make_rope_fixtures.py; transformers computes in float32.
TEST(Rope, FrequenciesAreThoseOfTransformers) {
  const nlohmann::json cases = read_json_file(data_path("rope/frequencies.json"));
  ASSERT_GE(cases.size(), 10u);
  for (const nlohmann::json& one : cases) {
    SCOPED_TRACE(one.at("config").at("rope_scaling").dump());
    const Config config = read_hf_config(one.at("config"), "config.json");
    const RopeTable table(config.rope, config.attention().head_dim);
    const std::vector<double> expected = one.at("frequencies");
    ASSERT_EQ(table.frequencies().size(), expected.size());
    for (size_t i = 0; i < expected.size(); ++i) {
      EXPECT_NEAR(table.frequencies()[i], expected[i], 2e-6 * expected[i]) << "pair " << i;
    }
    EXPECT_NEAR(table.scale(), one.at("attention_factor").get<double>(), 1e-9);
  }
}

TEST(Rope, FillsCosThenSin) {
  const RopeTable table({.theta = 100.0}, 8);
  float out[8];
  table.fill(3, out);
  for (int i = 0; i < 4; ++i) {
    const double angle = 3 * std::pow(100.0, -i / 4.0);
    EXPECT_FLOAT_EQ(out[i], static_cast<float>(std::cos(angle)));
    EXPECT_FLOAT_EQ(out[4 + i], static_cast<float>(std::sin(angle)));
  }
}

TEST(Rope, FactorsDivideFrequencies) {
  const RopeTable table({.theta = 100.0, .factors = {1, 2, 4, 8}}, 8);
  for (int i = 0; i < 4; ++i) {
    EXPECT_DOUBLE_EQ(table.frequencies()[static_cast<size_t>(i)],
                     std::pow(100.0, -i / 4.0) / std::pow(2.0, i));
  }
}

Config trained_at_2048() {
  Config config;
  config.context_length = 2048;
  return config;
}

TEST(RopeOverride, ScaleAloneIsLinear) {
  Config config = trained_at_2048();
  apply_override({.scale = 4.0}, &config);
  EXPECT_EQ(config.rope.scaling, RopeScaling::kLinear);
  EXPECT_EQ(config.rope.factor, 4.0);
  EXPECT_EQ(config.context_length, 8192);
}

TEST(RopeOverride, YarnTakesTheTrainedContext) {
  Config config = trained_at_2048();
  apply_override({.scaling = RopeScaling::kYarn, .scale = 8.0}, &config);
  EXPECT_EQ(config.rope.scaling, RopeScaling::kYarn);
  EXPECT_EQ(config.rope.original_context, 2048);
  EXPECT_EQ(config.context_length, 16384);
  apply_override({.scale = 2.0, .yarn_original_context = 1000}, &config);
  EXPECT_EQ(config.rope.scaling, RopeScaling::kYarn);
  EXPECT_EQ(config.context_length, 2000);
  apply_override({.scaling = RopeScaling::kNone}, &config);
  EXPECT_EQ(config.rope.factor, 1.0);
  EXPECT_EQ(config.context_length, 1000);
}

TEST(RopeOverride, NothingSetChangesNothing) {
  Config config = trained_at_2048();
  config.rope.scaling = RopeScaling::kLlama3;
  config.rope.factor = 8;
  apply_override({}, &config);
  apply_override({.freq_base = 5e5}, &config);
  EXPECT_EQ(config.rope.theta, 5e5);
  EXPECT_EQ(config.rope.scaling, RopeScaling::kLlama3);
  EXPECT_EQ(config.rope.factor, 8);
  EXPECT_EQ(config.context_length, 2048);
}

TEST(RopeOverride, ErrorsNameTheOption) {
  const auto expect_refused = [](const RopeOverride& override, const char* option) {
    expect_error(ErrorCode::kInvalidArgument, {option}, [&] {
      Config config = trained_at_2048();
      apply_override(override, &config);
    });
  };
  expect_refused({.scaling = RopeScaling::kYarn}, "`rope_scale`");
  expect_refused({.scale = 0.0}, "`rope_scale`");
  expect_refused({.scale = std::nan("")}, "`rope_scale`");
  expect_refused({.scale = 1e6, .yarn_original_context = int64_t{1} << 28}, "`rope_scale`");
  expect_refused({.freq_base = 0.5}, "`rope_freq_base`");
  expect_refused({.scale = 2.0, .yarn_original_context = 0}, "`yarn_original_context`");
}

}  // namespace
}  // namespace tidal::test
