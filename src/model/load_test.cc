// Loading inconsistent files: every error names the file and the tensor or key at fault.
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <map>
#include <nlohmann/json.hpp>

#include "model/model_test_util.h"
#include "model/tiny_gguf_test_util.h"
#include "testing/error.h"
#include "testing/temp_folder.h"

namespace tidal::test {
namespace {

TEST(LoadGguf, TheTinyFileIsRight) { TinyGguf().load(); }

TEST(LoadGguf, EveryTensorIsRequired) {
  for (const auto& [name, dimensions] : TinyGguf().tensors) {
    TinyGguf file;
    file.tensors.erase(name);
    file.expect(ErrorCode::kNotFound, {name, "missing"});
  }
}

TEST(LoadGguf, EveryDimensionIsChecked) {
  for (const auto& [name, dimensions] : TinyGguf().tensors) {
    for (size_t i = 0; i < dimensions.size(); ++i) {
      for (const int64_t change : {-1, 1}) {
        TinyGguf file;
        file.tensors[name][i] += static_cast<uint64_t>(change);
        // The vocabulary size is the embedding's; a key that disagrees is at fault.
        file.expect(ErrorCode::kCorrupt, {name});
      }
    }
    TinyGguf file;
    file.tensors[name].push_back(2);
    file.expect(ErrorCode::kCorrupt, {name, "shape"});
  }
}

TEST(LoadGguf, EverySizeIsChecked) {
  for (const auto& [key, value] : TinyGguf().ints) {
    for (const uint32_t lie : {0u, value + 1, 0x7fffffffu, 0xffffffffu}) {
      if (key == "context_length" && lie == value + 1) continue;
      TinyGguf file;
      file.ints[key] = lie;
      SCOPED_TRACE(key + " " + std::to_string(lie));
      EXPECT_THROW(file.load(), Error);
    }
    if (key == "vocab_size" || key == "attention.head_count_kv") continue;  // these have defaults
    TinyGguf file;
    file.ints.erase(key);
    file.expect(ErrorCode::kCorrupt, {"llama." + key});
  }
}

TEST(LoadGguf, HeadSizes) {
  TinyGguf file;
  file.ints["attention.key_length"] = 16;
  file.expect(ErrorCode::kCorrupt, {"blk.0.attn_q.weight", "[32, 16]"});
  file.ints["attention.key_length"] = 12;
  file.expect(ErrorCode::kUnsupported, {"head size", "12"});
  file.ints["attention.key_length"] = 8;
  file.ints["attention.value_length"] = 16;
  file.expect(ErrorCode::kUnsupported, {"attention.value_length"});
  file.ints["attention.value_length"] = 8;
  file.ints["rope.dimension_count"] = 4;
  file.expect(ErrorCode::kUnsupported, {"rope.dimension_count", "4"});
}

TEST(LoadGguf, WhatIsNotSupportedIsNamed) {
  TinyGguf file;
  file.architecture = "gemma2";
  file.expect(ErrorCode::kUnsupported, {"gemma2", "llama, qwen2, qwen3"});
  file = {};
  file.ints["expert_count"] = 8;
  file.expect(ErrorCode::kUnsupported, {"expert_count"});
  file = {};
  file.ints["attention.sliding_window"] = 4096;
  file.expect(ErrorCode::kUnsupported, {"sliding"});
  file = {};
  file.strings["rope.scaling.type"] = "longrope";
  file.expect(ErrorCode::kUnsupported, {"longrope", "yarn"});
  file = {};
  file.tensors["blk.0.attn_q.bias"] = {16};
  file.expect(ErrorCode::kUnsupported, {"blk.0.attn_q.bias"});
  file = {};
  file.tensors["blk.1.attn_norm.weight"] = {16};
  file.expect(ErrorCode::kUnsupported, {"blk.1.attn_norm.weight"});
}

TEST(LoadGguf, RopeFactors) {
  TinyGguf file;
  file.tensors["rope_freqs.weight"] = {3};
  file.expect(ErrorCode::kCorrupt, {"rope_freqs.weight", "[3]", "[4]"});
  file.tensors["rope_freqs.weight"] = {4};  // zeros
  file.expect(ErrorCode::kCorrupt, {"rope frequency factor"});
}

TEST(LoadGguf, VocabularyOnlyFilesSaySo) {
  TinyGguf file;
  file.tensors.clear();
  file.expect(ErrorCode::kNotFound, {"token_embd.weight", "only a vocabulary"});
}

// A copy of a tiny model's folder with another config.json.
class LoadFolder : public testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy(data_path("models/qwen2"), folder_);
    config_ = read_json_file((folder_ / "config.json").string());
  }

  std::shared_ptr<const Model> load() {
    std::filesystem::remove(folder_ / "config.json");
    std::ofstream(folder_ / "config.json") << config_.dump();
    return Model::load(folder_.string());
  }
  void expect_with(const std::string& key, nlohmann::json value, ErrorCode code,
                   std::vector<std::string> parts) {
    const nlohmann::json before = config_;
    config_[key] = std::move(value);
    parts.push_back(folder_.string());
    expect_error(code, parts, [&] { load(); });
    config_ = before;
  }

  const TempFolder temp_;
  const std::filesystem::path folder_ = temp_.path() / "model";
  nlohmann::json config_;
};

TEST_F(LoadFolder, ShapesMustFollowFromTheConfiguration) {
  EXPECT_EQ(load()->config().name, folder_.filename());
  const std::string layer = "model.layers.0.";
  expect_with("vocab_size", 65, ErrorCode::kCorrupt, {"model.embed_tokens.weight", "[64, 48]"});
  expect_with("hidden_size", 72, ErrorCode::kCorrupt, {"model.embed_tokens.weight"});
  expect_with("intermediate_size", 64, ErrorCode::kCorrupt, {layer + "mlp.gate_proj.weight"});
  expect_with("num_key_value_heads", 1, ErrorCode::kCorrupt, {layer + "self_attn.k_proj.weight"});
  expect_with("head_dim", 8, ErrorCode::kCorrupt, {layer + "self_attn.q_proj.weight"});
  expect_with("num_hidden_layers", 3, ErrorCode::kNotFound, {"model.layers.2."});
  expect_with("num_hidden_layers", 4096, ErrorCode::kNotFound, {"model.layers.2."});
  expect_with("num_hidden_layers", 1, ErrorCode::kUnsupported, {"model.layers.1."});
  expect_with("tie_word_embeddings", false, ErrorCode::kNotFound, {"lm_head.weight"});
  expect_with("model_type", "llama", ErrorCode::kUnsupported, {"self_attn", "bias"});
  expect_with("model_type", "qwen3", ErrorCode::kCorrupt, {layer + "self_attn.q_proj.weight"});
}

TEST_F(LoadFolder, MissingFilesAreNamed) {
  std::filesystem::remove(folder_ / "model.safetensors");
  expect_error(ErrorCode::kNotFound, {"model.safetensors"}, [&] { load(); });
  std::filesystem::remove(folder_ / "config.json");
  expect_error(ErrorCode::kNotFound, {"config.json"}, [&] { Model::load(folder_.string()); });
  expect_error(ErrorCode::kNotFound, {"no-such-model"}, [] { Model::load("/no-such-model.gguf"); });
}

TEST(Model, OverridesRope) {
  const auto model =
      Model::load(data_path("models/llama3.gguf"), {.scaling = RopeScaling::kYarn, .scale = 2.0});
  EXPECT_EQ(model->config().rope.scaling, RopeScaling::kYarn);
  EXPECT_TRUE(model->config().rope.factors.empty());
}

TEST(Model, CountsBytes) {
  const auto model = Model::load(data_path("models/qwen2"));
  const size_t layer = 4 * 48 * 48 + 3 * 48 * 56 + 3 * 48 + 2 * 48;
  EXPECT_EQ(model->weight_bytes(), 4 * (64 * 48 + 48 + 2 * layer));
  EXPECT_EQ(model->step_weight_bytes(), model->weight_bytes() + 4 * 48);
}

TEST(Model, RandomShapes) {
  const auto model = Model::random("smollm2-135m", DType::kQ4_1, 1);
  EXPECT_EQ(model->config().n_layers(), 30);
  EXPECT_EQ(model->weights().output.dtype, DType::kQ8_0);
  EXPECT_EQ(model->weights().layers[3].wq.dtype, DType::kQ4_1);
  // As many bytes as the real model's file holds, except for its header.
  EXPECT_NEAR(static_cast<double>(model->weight_bytes()), 96.6e6, 1e6);
  const auto again = Model::random("smollm2-135m", DType::kQ4_1, 1);
  const auto other = Model::random("smollm2-135m", DType::kQ4_1, 2);
  const Weight& w = model->weights().layers[7].w_down;
  EXPECT_EQ(std::memcmp(w.data, again->weights().layers[7].w_down.data, w.bytes()), 0);
  EXPECT_NE(std::memcmp(w.data, other->weights().layers[7].w_down.data, w.bytes()), 0);
  expect_error(ErrorCode::kInvalidArgument, {"gpt-5", "llama-3.1-8b"},
               [] { Model::random("gpt-5", DType::kQ4_0, 1); });
  expect_error(ErrorCode::kInvalidArgument, {"smollm2-135m", "Q4_K", "576"},
               [] { Model::random("smollm2-135m", DType::kQ4_K, 1); });
}

}  // namespace
}  // namespace tidal::test
