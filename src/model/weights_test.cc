// What a layer contains: its configuration and weights agree, and the lists miss nothing.
#include "model/weights.h"

#include <gtest/gtest.h>

#include <set>

#include "model/model.h"
#include "testing/error.h"
#include "testing/paths.h"

namespace tidal::test {
namespace {

Config valid_config() { return Model::load(data_path("tiny-llama.gguf"))->config(); }

TEST(LayerConfig, LayersMayDifferInWidthButNotInHeads) {
  Config config = valid_config();
  config.layers.back().d_ff *= 2;
  validate(config, "file");
  config.layers.back().attention.n_kv_heads = 1;
  expect_error(ErrorCode::kUnsupported, {"file", "heads"}, [&] { validate(config, "file"); });
  config = valid_config();
  config.layers.back().d_ff = 0;
  expect_error(ErrorCode::kCorrupt, {"file", "feed-forward"}, [&] { validate(config, "file"); });
}

TEST(LayerConfig, TheNumberOfLayersIsBounded) {
  EXPECT_EQ(repeat_layer({}, 7, "file").size(), 7u);
  for (const int64_t n : {int64_t{0}, int64_t{-1}, int64_t{1} << 31}) {
    expect_error(ErrorCode::kCorrupt, {"file", "layers"}, [&] { repeat_layer({}, n, "file"); });
  }
}

TEST(Weights, EveryTensorOfAFileIsInTheLists) {
  for (const char* name : {"tiny-llama.gguf", "models/qwen2", "models/qwen3", "models/deep"}) {
    SCOPED_TRACE(name);
    const auto model = Model::load(data_path(name));
    const ModelWeights& weights = model->weights();
    std::set<const std::byte*> matrices = {weights.embedding.data};
    for_each_matrix(weights, [&](MatrixRole, const Weight& matrix) {
      EXPECT_FALSE(matrix.empty());
      matrices.insert(matrix.data);
    });
    size_t n_vectors = 0;
    for_each_vector(weights, [&](std::span<const float> vector) { n_vectors += !vector.empty(); });
    EXPECT_EQ(matrices.size() + n_vectors, model->tensors().size());
  }
}

TEST(Weights, MatricesHaveTheShapesOfTheirRoles) {
  const auto model = Model::load(data_path("models/qwen3"));
  const Config& config = model->config();
  for (size_t l = 0; l < config.layers.size(); ++l) {
    for_each_matrix(model->weights().layers[l], [&](MatrixRole role, const Weight& matrix) {
      const auto [rows, cols] = matrix_shape(config, config.layers[l], role);
      EXPECT_EQ(matrix.rows, rows);
      EXPECT_EQ(matrix.cols, cols);
    });
  }
}

}  // namespace
}  // namespace tidal::test
