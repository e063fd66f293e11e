// Weights as a back end reads them: the same values, copied once, and nothing else in the model
// moves.
#include "model/prepared_weights.h"

#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "model/model_test_util.h"
#include "ops/cpu/cpu_backend.h"
#include "ops/reference/reference_backend.h"
#include "tensor/panels.h"
#include "testing/poison/poison_backend.h"

namespace tidal::test {
namespace {

constexpr WeightLayout kRows = WeightLayout::kRows;
constexpr WeightLayout kPanels = WeightLayout::kPanels;

// A back end that reads this layout.
std::unique_ptr<Backend> backend_of(WeightLayout layout, int n_threads = 2) {
  return layout == kPanels ? make_cpu_backend(n_threads) : make_reference_backend();
}

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

TEST(PreparedWeights, CopiesTheMatricesOfAFileAndLeavesTheFileReadable) {
  for (const char* name : {"tiny-llama.gguf", "models/qwen2", "models/deep"}) {
    SCOPED_TRACE(name);
    const auto model = Model::load(data_path(name));
    const ModelWeights& rows = model->weights();
    std::vector<std::vector<std::byte>> before;
    for (const Weight* weight : matrices(rows)) before.push_back(copy(*weight));
    const ModelWeights& panels = model->weights(*backend_of(kPanels, 2));

    const auto in_rows = matrices(rows), in_panels = matrices(panels);
    for (size_t i = 0; i < in_rows.size(); ++i) {
      EXPECT_EQ(in_panels[i]->layout, kPanels);
      EXPECT_EQ(copy(*in_panels[i]), panels_of(*in_rows[i])) << "matrix " << i;
      EXPECT_EQ(copy(*in_rows[i]), before[i]) << "matrix " << i;
    }
    EXPECT_EQ(panels.embedding.data, rows.embedding.data);
    EXPECT_EQ(panels.embedding.layout, kRows);
    EXPECT_EQ(panels.layers[0].attention_norm.data(), rows.layers[0].attention_norm.data());
    EXPECT_EQ(&model->weights(*backend_of(kRows, 2)), &rows);
  }
}

TEST(PreparedWeights, TheModelsLoaderHearsHowFarTheCopyIs) {
  std::vector<std::pair<int64_t, int64_t>> told;
  const auto model =
      Model::load(data_path("tiny-llama.gguf"), {},
                  [&](int64_t done, int64_t total) { told.emplace_back(done, total); });
  EXPECT_TRUE(told.empty());
  const auto backend = backend_of(kPanels);
  model->weights(*backend);
  const size_t n_told = matrices(model->weights()).size();
  ASSERT_EQ(told.size(), n_told);
  const auto total = static_cast<int64_t>(model->reordered_bytes(kPanels));
  int64_t before = 0;
  for (const auto& [done, all] : told) {
    EXPECT_GT(done, before);
    EXPECT_EQ(all, total);
    before = done;
  }
  EXPECT_EQ(before, total);
  model->weights(*backend);
  EXPECT_EQ(told.size(), n_told) << "the copy is made once";
}

TEST(PreparedWeights, IsDoneOnceForAllThreads) {
  const auto model = Model::load(data_path("tiny-llama.gguf"));
  std::vector<const ModelWeights*> got(4);
  std::vector<std::thread> threads;
  for (const ModelWeights*& weights : got) {
    threads.emplace_back([&] { weights = &model->weights(*backend_of(kPanels, 1)); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const ModelWeights* weights : got) EXPECT_EQ(weights, got[0]);
}

TEST(PreparedWeights, CountsItsMemory) {
  const auto model = Model::load(data_path("models/qwen2"));
  const ModelWeights& panels = model->weights(*backend_of(kPanels, 1));
  size_t bytes = 0;
  for (const Weight* weight : matrices(panels)) bytes += weight->stored_bytes();
  EXPECT_EQ(model->reordered_bytes(kRows), 0u);
  EXPECT_EQ(model->reordered_bytes(kPanels), bytes);  // all multiples of 64
  EXPECT_EQ(model->memory_bytes(kRows), model->weight_bytes());
  EXPECT_GE(model->memory_bytes(kPanels), bytes + model->weights().embedding.bytes());
}

// The shape's embedding is tied, so the output matrix exists in both layouts.
TEST(PreparedWeights, RandomWeightsAreTheSameInEitherLayout) {
  const auto rows = Model::random("smollm2-135m", DType::kQ4_1, 1, kRows);
  const auto panels = Model::random("smollm2-135m", DType::kQ4_1, 1, kPanels);
  EXPECT_EQ(panels->weights().output.layout, kPanels);
  EXPECT_EQ(rows->weight_bytes(), panels->weight_bytes());
  EXPECT_EQ(rows->step_weight_bytes(), panels->step_weight_bytes());
  expect_same_weights(rows->weights(*backend_of(kPanels, 2)), panels->weights());
  expect_same_weights(rows->weights(), panels->weights(*backend_of(kRows, 2)));
}

// If the host cannot access memory(), everything operations read must be copied.
TEST(PreparedWeights, ADeviceHasAllOfThem) {
  for (const char* name : {"tiny-llama.gguf", "models/qwen2"}) {
    SCOPED_TRACE(name);
    const auto model = Model::load(data_path(name));
    const auto device = make_poison_backend(2);
    const ModelWeights& there = model->weights(*device);
    const ModelWeights& here = model->weights(*backend_of(kPanels));
    const auto copy_out = [&](const void* from, size_t bytes) {
      std::vector<std::byte> host(bytes);
      device->memory().copy_out(host.data(), from, bytes);
      return host;
    };
    const auto expected = matrices(here), got = matrices(there);
    for (size_t i = 0; i < got.size(); ++i) {
      ASSERT_EQ(got[i]->layout, kPanels);
      ASSERT_EQ(copy_out(got[i]->data, got[i]->stored_bytes()), copy(*expected[i])) << i;
    }
    EXPECT_EQ(copy_out(there.embedding.data, there.embedding.bytes()), copy(here.embedding));
    std::vector<std::span<const float>> vectors;
    for_each_vector(here, [&](std::span<const float> vector) { vectors.push_back(vector); });
    size_t i = 0;
    for_each_vector(there, [&](std::span<const float> vector) {
      const std::span<const float> same = vectors[i++];
      ASSERT_EQ(vector.size(), same.size());
      ASSERT_EQ(vector.data() == nullptr, same.empty()) << "null means there is none";
      if (vector.empty()) return;
      const std::vector<std::byte> bytes = copy_out(vector.data(), vector.size_bytes());
      EXPECT_EQ(std::memcmp(bytes.data(), same.data(), bytes.size()), 0) << "vector " << i - 1;
    });
    EXPECT_EQ(&model->weights(*make_poison_backend(1)), &there) << "made once";
  }
}

std::vector<float> logits(std::shared_ptr<const Model> model, Backend& backend) {
  TestDecoder decoder(std::move(model), backend, DType::kF32, 64);
  SequenceKv kv = decoder.make_sequence();
  return decoder.run(kv, std::vector<int32_t>{1, 5, 9, 2, 40, 7}, 6);
}

TEST(PreparedWeights, DecodersOfAllBackEndsShareAModel) {
  const auto cpu = make_cpu_backend(2);
  const auto other_cpu = make_cpu_backend(1);
  const auto reference = make_reference_backend();
  const auto device = make_poison_backend(2);
  const auto path = data_path("tiny-llama.gguf");
  const std::vector<float> cpu_alone = logits(Model::load(path), *cpu);
  const std::vector<float> reference_alone = logits(Model::load(path), *reference);
  EXPECT_LT(max_difference(cpu_alone, reference_alone), 2e-2);
  const auto shared = Model::load(path);
  EXPECT_EQ(logits(shared, *reference), reference_alone);
  EXPECT_EQ(logits(shared, *cpu), cpu_alone);
  EXPECT_EQ(logits(shared, *other_cpu), cpu_alone);
  EXPECT_EQ(logits(shared, *device), cpu_alone);
  EXPECT_EQ(logits(shared, *reference), reference_alone);
}

}  // namespace
}  // namespace tidal::test
