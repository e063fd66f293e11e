// Weights in a back end's layout: the same values, made once, and nothing else in the model moves.
#include "model/reorder.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>
#include <vector>

#include "model/model_test_util.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"
#include "tensor/panels.h"

namespace tidal::test {
namespace {

constexpr WeightLayout kRows = WeightLayout::kRows;
constexpr WeightLayout kPanels = WeightLayout::kPanels;

std::vector<const Weight*> matrices(const ModelWeights& weights) {
  std::vector<const Weight*> result;
  for_each_matrix(weights, [&](MatrixRole, const Weight& matrix) { result.push_back(&matrix); });
  return result;
}

std::vector<std::byte> copy(const Weight& weight) {
  return {weight.data, weight.data + weight.stored_bytes()};
}

std::vector<std::byte> panels_of(const Weight& rows) {
  Weight panels = rows;
  panels.layout = kPanels;
  std::vector<std::byte> bytes(panels.stored_bytes());
  rows_to_panels(rows, 0, rows.n_panels(), bytes.data());
  return bytes;
}

void expect_same_weights(const ModelWeights& a, const ModelWeights& b) {
  const auto left = matrices(a), right = matrices(b);
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i) {
    ASSERT_EQ(left[i]->layout, right[i]->layout);
    ASSERT_EQ(copy(*left[i]), copy(*right[i])) << "matrix " << i;
  }
  EXPECT_EQ(copy(a.embedding), copy(b.embedding));
}

TEST(Reorder, CopiesTheMatricesOfAFileAndLeavesTheFileReadable) {
  for (const char* name : {"tiny-llama.gguf", "models/qwen2", "models/deep"}) {
    SCOPED_TRACE(name);
    const auto model = Model::load(data_path(name));
    const ModelWeights& rows = model->weights();
    std::vector<std::vector<std::byte>> before;
    for (const Weight* weight : matrices(rows)) before.push_back(copy(*weight));
    const ModelWeights& panels = model->weights(kPanels, 2);

    const auto in_rows = matrices(rows), in_panels = matrices(panels);
    for (size_t i = 0; i < in_rows.size(); ++i) {
      EXPECT_EQ(in_panels[i]->layout, kPanels);
      EXPECT_EQ(copy(*in_panels[i]), panels_of(*in_rows[i])) << "matrix " << i;
      EXPECT_EQ(copy(*in_rows[i]), before[i]) << "matrix " << i;
    }
    EXPECT_EQ(panels.embedding.data, rows.embedding.data);
    EXPECT_EQ(panels.embedding.layout, kRows);
    EXPECT_EQ(panels.layers[0].attention_norm.data(), rows.layers[0].attention_norm.data());
    EXPECT_EQ(&model->weights(kRows, 2), &rows);
  }
}

TEST(Reorder, IsDoneOnceForAllThreads) {
  const auto model = Model::load(data_path("tiny-llama.gguf"));
  std::vector<const ModelWeights*> got(4);
  std::vector<std::thread> threads;
  for (const ModelWeights*& weights : got) {
    threads.emplace_back([&] { weights = &model->weights(kPanels, 1); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const ModelWeights* weights : got) EXPECT_EQ(weights, got[0]);
}

TEST(Reorder, CountsItsMemory) {
  const auto model = Model::load(data_path("models/qwen2"));
  const ModelWeights& panels = model->weights(kPanels, 1);
  size_t bytes = 0;
  for (const Weight* weight : matrices(panels)) bytes += weight->stored_bytes();
  EXPECT_EQ(model->reordered_bytes(kRows), 0u);
  EXPECT_EQ(model->reordered_bytes(kPanels), bytes);  // all multiples of 64
  EXPECT_EQ(model->memory_bytes(kRows), model->weight_bytes());
  EXPECT_GE(model->memory_bytes(kPanels), bytes + model->weights().embedding.bytes());
}

// The shape's embedding is tied, so the output matrix is there in both orders.
TEST(Reorder, RandomWeightsAreTheSameInEitherLayout) {
  const auto rows = Model::random("smollm2-135m", DType::kQ4_1, 1, kRows);
  const auto panels = Model::random("smollm2-135m", DType::kQ4_1, 1, kPanels);
  EXPECT_EQ(panels->weights().output.layout, kPanels);
  EXPECT_EQ(rows->weight_bytes(), panels->weight_bytes());
  EXPECT_EQ(rows->step_weight_bytes(), panels->step_weight_bytes());
  expect_same_weights(rows->weights(kPanels, 2), panels->weights());
  expect_same_weights(rows->weights(), panels->weights(kRows, 2));
}

std::vector<float> logits(std::shared_ptr<const Model> model, Backend& backend) {
  TestDecoder decoder(std::move(model), backend, DType::kF32, 64);
  SequenceKv kv = decoder.make_sequence();
  return decoder.run(kv, std::vector<int32_t>{1, 5, 9, 2, 40, 7}, 6);
}

TEST(Reorder, DecodersOfBothBackEndsShareAModel) {
  const auto cpu = make_cpu_backend(2);
  const auto other_cpu = make_cpu_backend(1);
  const auto reference = make_reference_backend();
  const auto path = data_path("tiny-llama.gguf");
  const std::vector<float> cpu_alone = logits(Model::load(path), *cpu);
  const std::vector<float> reference_alone = logits(Model::load(path), *reference);
  EXPECT_LT(max_difference(cpu_alone, reference_alone), 2e-2);
  const auto shared = Model::load(path);
  EXPECT_EQ(logits(shared, *reference), reference_alone);
  EXPECT_EQ(logits(shared, *cpu), cpu_alone);
  EXPECT_EQ(logits(shared, *other_cpu), cpu_alone);
  EXPECT_EQ(logits(shared, *reference), reference_alone);
}

}  // namespace
}  // namespace tidal::test
