#include "ops/cpu/matmul/matmul_kernels.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

#include "base/parallel.h"
#include "ops/cpu/target.h"
#include "tensor/panels.h"

namespace tidal::cpu {
namespace {

constexpr DType kAllTypes[] = {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) DType::k##name,
#include "tensor/formats.def"
#undef TIDAL_FORMAT
};

// A weight in panels with owned bytes, and its decoded values.
struct TestWeight {
  Weight weight;
  std::vector<std::byte> bytes;
  std::vector<float> values;  // [rows, cols]

  TestWeight(DType dtype, int64_t rows, int64_t cols, std::mt19937& random) {
    std::normal_distribution<float> normal;
    values.resize(static_cast<size_t>(rows * cols));
    for (float& value : values) value = normal(random) + 0.3f;
    Weight in_rows = {dtype, rows, cols, nullptr};
    std::vector<std::byte> row_bytes(in_rows.bytes());
    in_rows.data = row_bytes.data();
    encode_row(dtype, values.data(), row_bytes.data(), rows * cols);
    decode_row(dtype, row_bytes.data(), values.data(), rows * cols);
    weight = {dtype, rows, cols, nullptr, WeightLayout::kPanels};
    bytes.resize(weight.stored_bytes());  // exact: the sanitizer detects reads past the end
    weight.data = bytes.data();
    rows_to_panels(in_rows, 0, in_rows.n_panels(), bytes.data());
  }
};

std::vector<float> random_floats(int64_t n, std::mt19937& random) {
  std::normal_distribution<float> normal;
  std::vector<float> out(static_cast<size_t>(n));
  for (float& value : out) value = normal(random);
  return out;
}

std::vector<float> product(Target target, int n_threads, const Weight& weight,
                           const std::vector<float>& x, int64_t n_rows) {
  ThreadPool pool(n_threads);
  MatmulScratch scratch;
  std::vector<float> out(static_cast<size_t>(n_rows * weight.rows));
  const Linear linear = {&weight, nullptr, out.data(), false};
  matmul(pool, scratch, target, x.data(), n_rows, {&linear, 1});
  return out;
}

// Column counts that reach every path: one unit, several panels, ragged ends for float types.
std::vector<int64_t> columns_of(DType dtype) {
  const int block = dtype_info(dtype).block_size;
  if (block == 1) return {3, 40, 301};
  return {block, 3 * int64_t{block}, 1280};
}

class MatmulFormat : public testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(AllFormats, MatmulFormat, testing::ValuesIn(kAllTypes),
                         [](const auto& tested) { return std::string(dtype_name(tested.param)); });

TEST_P(MatmulFormat, DecodesEveryColumnAsTheScalarDecoder) {
  std::mt19937 random(1);
  const int64_t rows = 19;
  const int64_t cols = dtype_info(GetParam()).block_size == 1 ? 43 : 512;
  const TestWeight w(GetParam(), rows, cols, random);
  std::vector<float> identity(static_cast<size_t>(cols * cols));
  for (int64_t i = 0; i < cols; ++i) identity[static_cast<size_t>(i * (cols + 1))] = 1.0f;
  for (const Target target : available_targets()) {
    SCOPED_TRACE(target_name(target));
    const std::vector<float> out = product(target, 1, w.weight, identity, cols);
    for (int64_t c = 0; c < cols; ++c) {
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_NEAR(out[static_cast<size_t>(c * rows + r)],
                    w.values[static_cast<size_t>(r * cols + c)], 2e-6)
            << "column " << c << " row " << r;
      }
    }
  }
}

TEST_P(MatmulFormat, MatchesTheDefinitionWithinTheRoundingOfX) {
  std::mt19937 random(2);
  for (const int64_t cols : columns_of(GetParam())) {
    for (const int64_t rows : {1, 7, 16, 37}) {
      const TestWeight w(GetParam(), rows, cols, random);
      for (const int64_t n_rows : {1, 5, 31}) {
        const std::vector<float> x = random_floats(n_rows * cols, random);
        for (const Target target : available_targets()) {
          SCOPED_TRACE(target_name(target));
          const std::vector<float> out = product(target, 2, w.weight, x, n_rows);
          for (int64_t i = 0; i < n_rows; ++i) {
            for (int64_t r = 0; r < rows; ++r) {
              double sum = 0, scale = 0;
              for (int64_t c = 0; c < cols; ++c) {
                const double term = double{w.values[static_cast<size_t>(r * cols + c)]} *
                                    x[static_cast<size_t>(i * cols + c)];
                sum += term;
                scale += std::fabs(term);
              }
              ASSERT_NEAR(out[static_cast<size_t>(i * rows + r)], sum, 5e-5 * scale + 1e-4)
                  << rows << " x " << cols << ", row " << r << " of input " << i;
            }
          }
        }
      }
    }
  }
}

TEST_P(MatmulFormat, BitsDependOnNeitherBatchNorThreadsNorTarget) {
  std::mt19937 random(3);
  const int64_t rows = 53, cols = 1280, n_rows = 600;  // more than one run of inputs
  const TestWeight w(GetParam(), rows, cols, random);
  const std::vector<float> x = random_floats(n_rows * cols, random);
  const std::vector<Target> targets = available_targets();
  const std::vector<float> all = product(targets[0], 3, w.weight, x, n_rows);
  for (const Target target : targets) {
    SCOPED_TRACE(target_name(target));
    EXPECT_EQ(product(target, 1, w.weight, x, n_rows), all);
    int64_t first = 0;
    for (const int64_t n : {1, 2, 3, 5, 11, 14, 40}) {
      const std::vector<float> part(x.begin() + first * cols, x.begin() + (first + n) * cols);
      const std::vector<float> expected(all.begin() + first * rows,
                                        all.begin() + (first + n) * rows);
      EXPECT_EQ(product(target, 2, w.weight, part, n), expected) << n << " rows at " << first;
      first += n;
    }
  }
}

TEST(Matmul, LinearsShareTheirInputWithBiasAndAccumulation) {
  std::mt19937 random(4);
  const int64_t cols = 256, n_rows = 3;
  const TestWeight a(DType::kQ4_1, 70, cols, random);
  const TestWeight b(DType::kF16, 5, cols, random);
  const TestWeight c(DType::kQ6_K, 33, cols, random);
  const std::vector<float> x = random_floats(n_rows * cols, random);
  const std::vector<float> bias = random_floats(5, random);
  for (const Target target : available_targets()) {
    ThreadPool pool(2);
    MatmulScratch scratch;
    std::vector<float> out_a(70 * 3), out_b(5 * 3), out_c(33 * 3, 1.5f);
    const Linear linears[] = {{&a.weight, nullptr, out_a.data(), false},
                              {&b.weight, bias.data(), out_b.data(), false},
                              {&c.weight, nullptr, out_c.data(), true}};
    matmul(pool, scratch, target, x.data(), n_rows, linears);
    EXPECT_EQ(out_a, product(target, 1, a.weight, x, n_rows));
    const std::vector<float> plain_b = product(target, 1, b.weight, x, n_rows);
    for (size_t i = 0; i < out_b.size(); ++i) EXPECT_EQ(out_b[i], plain_b[i] + bias[i % 5]);
    const std::vector<float> plain_c = product(target, 1, c.weight, x, n_rows);
    for (size_t i = 0; i < out_c.size(); ++i) EXPECT_EQ(out_c[i], 1.5f + plain_c[i]);
  }
}

TEST(Matmul, ZeroAndTinyInputsGiveZeroNotNan) {
  std::mt19937 random(5);
  const TestWeight w(DType::kQ4_1, 16, 64, random);
  for (const Target target : available_targets()) {
    for (const float value : {0.0f, -0.0f, 1e-38f, 1e-42f}) {
      const std::vector<float> x(64, value);
      for (const float out : product(target, 1, w.weight, x, 1)) EXPECT_NEAR(out, 0.0f, 1e-30f);
    }
  }
}

}  // namespace
}  // namespace tidal::cpu
