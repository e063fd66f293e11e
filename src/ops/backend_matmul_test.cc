// matmul on every back end, against products of the decoded weights in double.

#include <fmt/format.h>

#include "ops/backend_test_util.h"

namespace tidal::test {
namespace {

constexpr DType kAllTypes[] = {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) DType::k##name,
#include "tensor/formats.def"
#undef TIDAL_FORMAT
};

bool is_quantized(DType type) { return dtype_info(type).block_size > 1; }

// A back end may round activations to 8 bits, block by block, for integer weights.
double tolerance(DType type) {
  return is_quantized(type) ? 0.012 : type == DType::kF32 ? 1e-5 : 1e-4;
}

// A whole number of blocks, an odd one if the type allows.
int64_t columns(DType type) { return dtype_info(type).block_size == 256 ? 768 : 288; }

// A weight and its bytes, in a buffer of exact size, at an address misaligned for any wider type.
class TestWeight {
 public:
  TestWeight(DType type, int64_t rows, int64_t cols, uint32_t seed) {
    weight_ = {.dtype = type, .rows = rows, .cols = cols, .data = nullptr};
    bytes_.resize(kOffset + weight_.bytes());
    weight_.data = bytes_.data() + kOffset;
    const Floats values = random_normal(static_cast<size_t>(rows * cols), seed, 0.05f);
    encode_row(type, values.data(), bytes_.data() + kOffset, rows * cols);
    decoded_.resize(values.size());
    decode_row(type, weight_.data, decoded_.data(), rows * cols);
    panels_ = in_panels(weight_, &panel_bytes_);
  }

  const Weight& get(const Backend& backend) const {
    return backend.weight_layout() == WeightLayout::kPanels ? panels_ : weight_;
  }
  int64_t rows() const { return weight_.rows; }
  int64_t cols() const { return weight_.cols; }
  float at(int64_t row, int64_t col) const {
    return decoded_[static_cast<size_t>(row * weight_.cols + col)];
  }

  // x · weightᵀ: [n_rows, rows]
  std::vector<double> product(const Floats& x) const {
    std::vector<double> out;
    for (size_t r = 0; r < x.size(); r += static_cast<size_t>(cols())) {
      for (int64_t o = 0; o < rows(); ++o) {
        double sum = 0.0;
        for (int64_t i = 0; i < cols(); ++i) {
          sum += double{x[r + static_cast<size_t>(i)]} * double{at(o, i)};
        }
        out.push_back(sum);
      }
    }
    return out;
  }

 private:
  static constexpr size_t kOffset = 4;
  Weight weight_;
  std::vector<std::byte> bytes_;
  Weight panels_;
  std::vector<std::byte> panel_bytes_;
  Floats decoded_;  // [rows, cols]
};

BackendLimits limits(int64_t n_rows, int64_t features) {
  return {.max_rows = n_rows, .max_features = features};
}

Floats multiply(Backend& backend, const TestWeight& weight, const Floats& x) {
  const int64_t n_rows = static_cast<int64_t>(x.size()) / weight.cols();
  Floats out(static_cast<size_t>(n_rows * weight.rows()), NAN);
  const Linear linear{.weight = &weight.get(backend), .out = out.data()};
  backend.matmul(x.data(), n_rows, {&linear, 1});
  return out;
}

Floats rows_of(const Floats& x, int64_t width, int64_t first, int64_t count) {
  return {x.begin() + first * width, x.begin() + (first + count) * width};
}

// Root mean square of the error, relative to what random signs would make of the products.
double rms_error(const Floats& actual, const std::vector<double>& expected, const Floats& x,
                 const TestWeight& weight) {
  double errors = 0.0, scale = 0.0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double error = double{actual[i]} - expected[i];
    errors += error * error;
  }
  const auto cols = static_cast<size_t>(weight.cols());
  for (size_t r = 0; r < x.size() / cols; ++r) {
    for (int64_t o = 0; o < weight.rows(); ++o) {
      for (size_t i = 0; i < cols; ++i) {
        const double term = double{x[r * cols + i]} * double{weight.at(o, static_cast<int64_t>(i))};
        scale += term * term;
      }
    }
  }
  return std::sqrt(errors / (scale + 1e-300));
}

class MatmulTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(MatmulTest);

TEST_P(MatmulTest, EqualsTheProductOfDecodedWeights) {
  for (DType type : kAllTypes) {
    for (int64_t out_features : {1, 2, 7, 33, 65}) {
      const TestWeight weight(type, out_features, columns(type), 1);
      const Floats x = random_normal(static_cast<size_t>(33 * weight.cols()), 2);
      const auto backend = make(limits(33, weight.cols()));
      for (int64_t n_rows : {1, 2, 3, 4, 5, 8, 13, 16, 17, 31, 32, 33}) {
        const Floats some = rows_of(x, weight.cols(), 0, n_rows);
        const Floats out = multiply(*backend, weight, some);
        EXPECT_LE(rms_error(out, weight.product(some), some, weight), tolerance(type))
            << dtype_name(type) << ", " << n_rows << " rows, " << out_features << " outputs";
      }
    }
  }
}

TEST_P(MatmulTest, TakesAnyNumberOfBlocksInARow) {
  for (DType type : kAllTypes) {
    const int block = dtype_info(type).block_size;
    for (int64_t blocks : {1, 2, 3, 5, 7, 8, 9}) {
      const TestWeight weight(type, 9, blocks * block, 3);
      const Floats x = random_normal(static_cast<size_t>(2 * weight.cols()), 4);
      const auto backend = make(limits(2, weight.cols()));
      EXPECT_LE(rms_error(multiply(*backend, weight, x), weight.product(x), x, weight),
                1.5 * tolerance(type))
          << dtype_name(type) << ", " << weight.cols() << " inputs";
    }
  }
}

// Inputs with a single one pick a column, so a wrong order of elements shows.
TEST_P(MatmulTest, PicksColumns) {
  for (DType type : kAllTypes) {
    const TestWeight weight(type, 5, columns(type), 5);
    const auto n = static_cast<size_t>(weight.cols());
    Floats x(n * n, 0.0f);
    for (size_t i = 0; i < n; ++i) x[i * n + i] = 1.0f;
    const auto backend = make(limits(weight.cols(), weight.cols()));
    const Floats out = multiply(*backend, weight, x);
    for (size_t i = 0; i < n; ++i) {
      for (int64_t o = 0; o < weight.rows(); ++o) {
        ASSERT_NEAR(out[i * 5 + static_cast<size_t>(o)], weight.at(o, static_cast<int64_t>(i)),
                    1e-3)
            << dtype_name(type) << ", column " << i << " of row " << o;
      }
    }
  }
}

TEST_P(MatmulTest, KeepsItsPrecisionForLargeAndSmallInputs) {
  for (DType type : kAllTypes) {
    const TestWeight weight(type, 17, columns(type), 6);
    const auto backend = make(limits(2, weight.cols()));
    for (float size : {1e-6f, 1e-3f, 1e3f, 1e6f}) {
      const Floats x = random_normal(static_cast<size_t>(2 * weight.cols()), 7, size);
      EXPECT_LE(rms_error(multiply(*backend, weight, x), weight.product(x), x, weight),
                tolerance(type))
          << dtype_name(type) << ", inputs of " << size;
    }
    const Floats zeros(static_cast<size_t>(2 * weight.cols()), 0.0f);
    for (float out : multiply(*backend, weight, zeros)) EXPECT_EQ(out, 0.0f);
  }
}

TEST_P(MatmulTest, AddsBiasAndAccumulates) {
  for (DType type : kAllTypes) {
    const TestWeight weight(type, 35, columns(type), 8);
    const Floats x = random_normal(static_cast<size_t>(3 * weight.cols()), 9);
    const Floats bias = random_normal(35, 10), before = random_normal(3 * 35, 11);
    const auto backend = make(limits(3, weight.cols()));
    for (bool with_bias : {false, true}) {
      for (bool accumulate : {false, true}) {
        std::vector<double> expected = weight.product(x);
        for (size_t i = 0; i < expected.size(); ++i) {
          if (with_bias) expected[i] += double{bias[i % 35]};
          if (accumulate) expected[i] += double{before[i]};
        }
        Floats out = before;
        const Linear linear{.weight = &weight.get(*backend),
                            .bias = with_bias ? bias.data() : nullptr,
                            .out = out.data(),
                            .accumulate = accumulate};
        backend->matmul(x.data(), 3, {&linear, 1});
        EXPECT_LE(rms_error(out, expected, x, weight), tolerance(type))
            << dtype_name(type) << ", bias " << with_bias << ", accumulate " << accumulate;
      }
    }
  }
}

TEST_P(MatmulTest, RunsSeveralLinearsAsIfAlone) {
  const TestWeight first(DType::kQ4_0, 33, 256, 12), second(DType::kQ6_K, 7, 256, 13),
      third(DType::kF16, 1, 256, 14), fourth(DType::kQ8_0, 64, 256, 15);
  const TestWeight* weights[] = {&first, &second, &third, &fourth};
  for (int64_t n_rows : {1, 2, 9}) {
    const Floats x = random_normal(static_cast<size_t>(n_rows * 256), 16);
    const auto backend = make(limits(n_rows, 256));
    std::vector<Floats> outs;
    std::vector<Linear> linears;
    for (const TestWeight* weight : weights) {
      outs.emplace_back(static_cast<size_t>(n_rows * weight->rows()), NAN);
      linears.push_back({.weight = &weight->get(*backend), .out = outs.back().data()});
    }
    backend->matmul(x.data(), n_rows, linears);
    for (size_t i = 0; i < outs.size(); ++i) {
      EXPECT_SAME_BITS(outs[i], multiply(*backend, *weights[i], x)) << "linear " << i;
    }
  }
}

TEST_P(MatmulTest, ARowDependsOnNoOtherRow) {
  for (DType type : kAllTypes) {
    const TestWeight weight(type, 37, columns(type), 17);
    const Floats x = random_normal(static_cast<size_t>(130 * weight.cols()), 18);
    const auto backend = make(limits(130, weight.cols()));
    Floats alone;
    for (int64_t r = 0; r < 130; ++r) {
      const Floats row = multiply(*backend, weight, rows_of(x, weight.cols(), r, 1));
      alone.insert(alone.end(), row.begin(), row.end());
    }
    for (int64_t n_rows = 2; n_rows <= 33; ++n_rows) {
      const Floats out = multiply(*backend, weight, rows_of(x, weight.cols(), 0, n_rows));
      ASSERT_SAME_BITS(out, rows_of(alone, 37, 0, n_rows))
          << dtype_name(type) << ", " << n_rows << " rows";
    }
    ASSERT_SAME_BITS(multiply(*backend, weight, x), alone) << dtype_name(type) << ", 130 rows";
  }
}

TEST_P(MatmulTest, GivesTheSameBitsForAnyNumberOfThreads) {
  for (DType type : kAllTypes) {
    const TestWeight weight(type, 131, columns(type), 19);
    for (int64_t n_rows : {1, 6, 33}) {
      const Floats x = random_normal(static_cast<size_t>(n_rows * weight.cols()), 20);
      const auto first = make(limits(n_rows, weight.cols()), 1);
      const Floats expected = multiply(*first, weight, x);
      for (int n_threads : kThreadCounts) {
        const auto backend = make(limits(n_rows, weight.cols()), n_threads);
        ASSERT_SAME_BITS(multiply(*backend, weight, x), expected)
            << dtype_name(type) << ", " << n_rows << " rows, " << n_threads << " threads";
      }
    }
  }
}

}  // namespace
}  // namespace tidal::test
