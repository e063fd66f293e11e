// The stages against llama.cpp's: tests/fixtures/make_sampling_fixtures.py.
#include <gtest/gtest.h>

#include <limits>
#include <map>
#include <nlohmann/json.hpp>

#include "base/json.h"
#include "runtime/model_text.h"
#include "runtime/sampler.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

constexpr int32_t kVocabulary = 512;

// No two are equal.
std::vector<float> make_logits(int32_t seed) {
  std::vector<float> logits;
  for (int32_t token = 0; token < kVocabulary; ++token) {
    logits.push_back(static_cast<float>((token * 389 + seed * 127) % kVocabulary) / 32 - 8);
  }
  return logits;
}

SamplingOptions read_options(const nlohmann::json& json) {
  SamplingOptions o{.temperature = 1, .top_k = 0, .top_p = 1, .min_p = 0};
  o.top_k = json.value("top_k", o.top_k);
  o.top_p = json.value("top_p", o.top_p);
  o.min_p = json.value("min_p", o.min_p);
  o.repeat_penalty = json.value("repeat_penalty", o.repeat_penalty);
  o.repeat_last_n = json.value("repeat_last_n", o.repeat_last_n);
  o.presence_penalty = json.value("presence_penalty", o.presence_penalty);
  o.frequency_penalty = json.value("frequency_penalty", o.frequency_penalty);
  o.dry_multiplier = json.value("dry_multiplier", o.dry_multiplier);
  o.dry_base = json.value("dry_base", o.dry_base);
  o.dry_allowed_length = json.value("dry_allowed_length", o.dry_allowed_length);
  o.dry_penalty_last_n = json.value("dry_penalty_last_n", o.dry_penalty_last_n);
  o.dry_sequence_breakers = json.value("dry_sequence_breakers", o.dry_sequence_breakers);
  o.top_n_sigma = json.value("top_n_sigma", o.top_n_sigma);
  o.typical_p = json.value("typical_p", o.typical_p);
  o.xtc_probability = json.value("xtc_probability", o.xtc_probability);
  o.xtc_threshold = json.value("xtc_threshold", o.xtc_threshold);
  for (const auto& entry : json.value("logit_bias", nlohmann::json::array())) {
    const bool never = entry[1].is_string();
    const float bias = never ? -std::numeric_limits<float>::infinity() : entry[1].get<float>();
    o.logit_bias.emplace_back(entry[0], bias);
  }
  return o;
}

TEST(SamplerFixture, LeavesWhatLlamaCppLeaves) {
  const nlohmann::json cases = read_json_file(data_path("sampling/llama_cpp.json"));
  const Tokenizer tokenizer = load_tokenizer(data_path("sampling/vocabulary.gguf"));
  ASSERT_GE(cases.size(), 140u);
  for (const nlohmann::json& one : cases) {
    SCOPED_TRACE(one.dump());
    Sampler sampler(read_options(one.at("options")), kVocabulary,
                    {.max_length = 512, .tokenizer = &tokenizer});
    sampler.accept(one.at("history").get<std::vector<int32_t>>());
    const std::vector<float> logits = make_logits(one.at("seed"));
    const int32_t token = sampler.sample(logits);
    const auto left = sampler.candidates();
    ASSERT_EQ(left.size(), one.at("left").get<size_t>());
    EXPECT_EQ(std::ranges::count(left, token, &Candidate::id), 1);
    const std::vector<int32_t> ids = one.at("ids");
    for (size_t i = 0; i < ids.size(); ++i) EXPECT_EQ(left[i].id, ids[i]) << i;
    const auto changed = one.at("changed").get<std::map<int32_t, float>>();
    size_t n_changed = 0;
    for (const Candidate& candidate : left) {
      const auto found = changed.find(candidate.id);
      n_changed += found != changed.end();
      const float raw = logits[static_cast<size_t>(candidate.id)];
      const float expected = found == changed.end() ? raw : found->second;
      EXPECT_NEAR(candidate.logit, expected, 2e-6F * std::abs(expected)) << candidate.id;
    }
    EXPECT_EQ(n_changed, changed.size());
  }
}

}  // namespace
}  // namespace tidal::test
