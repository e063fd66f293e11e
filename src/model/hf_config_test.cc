#include "model/hf_config.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "testing/error.h"

namespace tidal::test {
namespace {

using nlohmann::json;

json valid() {
  return json{{"model_type", "llama"},      {"hidden_size", 576},
              {"intermediate_size", 1536},  {"num_hidden_layers", 30},
              {"num_attention_heads", 9},   {"num_key_value_heads", 3},
              {"vocab_size", 49152},        {"max_position_embeddings", 8192},
              {"rms_norm_eps", 1e-5},       {"rope_theta", 100000.0},
              {"tie_word_embeddings", true}};
}

json with(const std::string& key, json value) {
  json config = valid();
  config[key] = std::move(value);
  return config;
}

json without(const std::string& key) {
  json config = valid();
  config.erase(key);
  return config;
}

Config read(const json& config) { return read_hf_config(config, "dir/config.json"); }

TEST(HfConfig, ReadsLlama) {
  const Config config = read(valid());
  EXPECT_EQ(config.architecture, "llama");
  EXPECT_EQ(config.n_layers(), 30);
  EXPECT_EQ(config.attention().head_dim, 64);
  EXPECT_EQ(config.attention().n_kv_heads, 3);
  EXPECT_EQ(config.rope.theta, 100000.0);
  EXPECT_EQ(config.rope.pairing, RopePairing::kHalves);
  EXPECT_TRUE(config.tied_output);
  EXPECT_FALSE(config.attention().qkv_bias);
}

TEST(HfConfig, FillsInWhatIsAbsentOrNull) {
  EXPECT_EQ(read(without("num_key_value_heads")).attention().n_kv_heads, 9);
  EXPECT_FALSE(read(without("tie_word_embeddings")).tied_output);
  EXPECT_EQ(read(without("rope_theta")).rope.theta, 10000.0);
  EXPECT_EQ(read(with("head_dim", nullptr)).attention().head_dim, 64);
  EXPECT_EQ(read(with("head_dim", 128)).attention().head_dim, 128);
  EXPECT_EQ(read(with("rope_scaling", nullptr)).rope.scaling, RopeScaling::kNone);
  json qwen3 = with("model_type", "qwen3");
  EXPECT_EQ(read(qwen3).attention().head_dim, 128);
  EXPECT_TRUE(read(qwen3).attention().qk_norm);
  EXPECT_TRUE(read(with("model_type", "qwen2")).attention().qkv_bias);
}

TEST(HfConfig, ReadsRopeInEverySpelling) {
  const json linear = {{"factor", 2.0}};
  for (const char* key : {"rope_scaling", "rope_parameters"}) {
    for (const char* type : {"type", "rope_type"}) {
      json scaling = linear;
      scaling[type] = "linear";
      const Config config = read(with(key, scaling));
      EXPECT_EQ(config.rope.scaling, RopeScaling::kLinear);
      EXPECT_EQ(config.rope.factor, 2.0);
      EXPECT_EQ(config.rope.theta, 100000.0);
      scaling["rope_theta"] = 5e5;
      EXPECT_EQ(read(with(key, scaling)).rope.theta, 5e5);
    }
  }
}

TEST(HfConfig, YarnExtendsTheContext) {
  const Config config =
      read(with("rope_scaling",
                {{"type", "yarn"}, {"factor", 4}, {"original_max_position_embeddings", 8192}}));
  EXPECT_EQ(config.context_length, 32768);
  EXPECT_EQ(config.rope.original_context, 8192);
}

TEST(HfConfig, UnsupportedIsNamedWithWhatIsSupported) {
  const auto expect_unsupported = [](const json& config, std::vector<std::string> parts) {
    parts.push_back("dir/config.json");
    expect_error(ErrorCode::kUnsupported, parts, [&] { read(config); });
  };
  expect_unsupported(with("model_type", "gpt_neox"),
                     {"gpt_neox", "llama", "mistral", "qwen2", "qwen3"});
  expect_unsupported(with("hidden_act", "gelu"), {"hidden_act", "gelu", "silu"});
  expect_unsupported(with("rope_scaling", {{"rope_type", "longrope"}, {"factor", 2}}),
                     {"longrope", "yarn"});
  expect_unsupported(with("partial_rotary_factor", 0.5), {"partial_rotary_factor"});
  expect_unsupported(with("attention_bias", true), {"attention_bias"});
  expect_unsupported(with("mlp_bias", true), {"mlp_bias"});
  expect_unsupported(with("quantization_config", {{"quant_method", "gptq"}}),
                     {"quantization_config"});
  expect_unsupported(with("head_dim", 60), {"head size", "60", "8"});
  json mistral = with("model_type", "mistral");
  expect_unsupported(mistral, {"sliding_window"});
  mistral["sliding_window"] = 4096;
  expect_unsupported(mistral, {"sliding_window"});
  mistral["sliding_window"] = nullptr;
  EXPECT_EQ(read(mistral).architecture, "llama");
  json qwen2 = with("model_type", "qwen2");
  qwen2["sliding_window"] = 4096;
  EXPECT_TRUE(read(qwen2).attention().qkv_bias);
  qwen2["use_sliding_window"] = true;
  expect_unsupported(qwen2, {"sliding_window"});
  expect_unsupported(with("layer_types", {"full_attention", "sliding_attention"}),
                     {"layer_types", "sliding_attention"});
}

TEST(HfConfig, WrongFieldsAreNamed) {
  const auto expect_corrupt = [](const json& config, std::vector<std::string> parts) {
    parts.push_back("dir/config.json");
    expect_error(ErrorCode::kCorrupt, parts, [&] { read(config); });
  };
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "vocab_size", "max_position_embeddings"}) {
    expect_corrupt(without(key), {key, "missing"});
    expect_corrupt(with(key, 0), {key});
    expect_corrupt(with(key, -3), {key});
    expect_corrupt(with(key, 1.5), {key});
    expect_corrupt(with(key, "12"), {key});
    expect_corrupt(with(key, uint64_t{1} << 63), {key});
    expect_corrupt(with(key, int64_t{1} << 40), {key});
  }
  for (const char* key : {"hidden_size", "intermediate_size", "num_hidden_layers",
                          "num_attention_heads", "num_key_value_heads", "vocab_size", "head_dim"}) {
    expect_corrupt(with(key, 2147483640), {"2147483640"});
  }
  expect_corrupt(without("model_type"), {"model_type"});
  expect_corrupt(with("num_key_value_heads", 2), {"9", "2"});
  expect_corrupt(with("num_key_value_heads", 18), {"KV heads", "18"});
  expect_corrupt(with("num_attention_heads", 10), {"hidden_size", "num_attention_heads"});
  expect_corrupt(with("rms_norm_eps", 0), {"epsilon"});
  expect_corrupt(with("rope_theta", -1), {"theta"});
  expect_corrupt(with("rope_scaling", "linear"), {"rope_scaling"});
  expect_corrupt(with("rope_scaling", {{"type", "linear"}}), {"rope_scaling.factor"});
  expect_corrupt(with("rope_scaling", {{"type", "linear"}, {"factor", 0}}), {"factor"});
  expect_corrupt(with("rope_scaling",
                      {{"type", "yarn"}, {"factor", 2}, {"original_max_position_embeddings", 0}}),
                 {"original context"});
  expect_corrupt(with("rope_scaling", {{"rope_type", "llama3"},
                                       {"factor", 8},
                                       {"low_freq_factor", 4},
                                       {"high_freq_factor", 4}}),
                 {"low_freq_factor"});
  expect_corrupt(json::array(), {"object"});
}

}  // namespace
}  // namespace tidal::test
