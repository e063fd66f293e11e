// embed, rms_norm, rope and swiglu on every back end.

#include <fmt/format.h>

#include "ops/backend_test_util.h"

namespace tidal::test {
namespace {

constexpr double kTolerance = 1e-5;

class PointwiseTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(PointwiseTest);

TEST_P(PointwiseTest, EmbedTakesRowsOfTheTable) {
  constexpr int64_t kRows = 37, kWidth = 512;
  const Floats values = random_normal(kRows * kWidth, 1);
  const std::vector<int32_t> ids = {0, 36, 5, 5, 17, 0};
  const auto backend = make({.max_rows = 6, .max_features = kWidth}, 3);
  for (DType type : {
#define TIDAL_FORMAT(name, ggml_type, block_size, block_bytes) DType::k##name,
#include "tensor/formats.def"
#undef TIDAL_FORMAT
       }) {
    std::vector<std::byte> bytes(dtype_row_bytes(type, kRows * kWidth));
    encode_row(type, values.data(), bytes.data(), kRows * kWidth);
    const Weight table{.dtype = type, .rows = kRows, .cols = kWidth, .data = bytes.data()};
    Floats out(ids.size() * kWidth, NAN), expected(out.size());
    for (size_t i = 0; i < ids.size(); ++i) {
      decode_row(type, table.row(ids[i]), expected.data() + i * kWidth, kWidth);
    }
    backend->embed(table, ids, out.data());
    EXPECT_SAME_BITS(out, expected) << dtype_name(type);
  }
}

std::vector<double> naive_norm(const Floats& x, const Floats& gain, float epsilon) {
  std::vector<double> out;
  const size_t width = gain.size();
  for (size_t r = 0; r < x.size(); r += width) {
    double squares = 0.0;
    for (size_t i = 0; i < width; ++i) squares += double{x[r + i]} * double{x[r + i]};
    const double norm = std::sqrt(squares / static_cast<double>(width) + double{epsilon});
    for (size_t i = 0; i < width; ++i) out.push_back(double{x[r + i]} / norm * double{gain[i]});
  }
  return out;
}

// Widths of heads as well as models: qwen3 norms each head of q and k.
TEST_P(PointwiseTest, RmsNormEqualsTheDefinition) {
  constexpr size_t kRows = 19;
  for (size_t width : {1, 3, 8, 17, 64, 80, 576, 1001, 2048}) {
    const auto n_rows = static_cast<int64_t>(kRows);
    const auto n = static_cast<int64_t>(width);
    const Floats gain = random_normal(width, 2);
    for (float size : {1e-12f, 1e-3f, 1.0f, 1e5f}) {
      const Floats x = random_normal(kRows * width, 3, size);
      const auto backend = make({.max_rows = n_rows, .max_features = n}, 3);
      Floats out(x.size(), NAN), in_place = x, alone(x.size(), NAN);
      backend->rms_norm(x.data(), gain.data(), n_rows, n, 1e-5f, out.data());
      const std::vector<double> expected = naive_norm(x, gain, 1e-5f);
      EXPECT_LE(relative_error(out, expected), kTolerance) << width << " wide, of size " << size;
      backend->rms_norm(in_place.data(), gain.data(), n_rows, n, 1e-5f, in_place.data());
      EXPECT_SAME_BITS(in_place, out) << "in place, " << width << " wide";
      const auto single = make({.max_rows = 1, .max_features = n}, 1);
      for (size_t i = 0; i < x.size(); i += width) {
        single->rms_norm(x.data() + i, gain.data(), 1, n, 1e-5f, alone.data() + i);
      }
      EXPECT_SAME_BITS(alone, out) << "row by row, " << width << " wide";
    }
  }
}

TEST_P(PointwiseTest, RmsNormOfZerosIsZero) {
  const Floats x(64, 0.0f), gain(64, 1.0f);
  Floats out(64, NAN);
  make({.max_rows = 1, .max_features = 64})
      ->rms_norm(x.data(), gain.data(), 1, 64, 1e-6f, out.data());
  EXPECT_SAME_BITS(out, x);
}

// cos and sin of random angles: [n_rows, 2, head_dim / 2]
Floats random_rotations(int64_t n_rows, int32_t head_dim) {
  const auto half = static_cast<size_t>(head_dim / 2);
  const Floats angles = random_normal(static_cast<size_t>(n_rows) * half, 4, 3.0f);
  Floats cos_sin(2 * angles.size());
  for (size_t i = 0; i < angles.size(); ++i) {
    const size_t row = i / half * 2 * half, element = i % half;
    cos_sin[row + element] = std::cos(angles[i]);
    cos_sin[row + half + element] = std::sin(angles[i]);
  }
  return cos_sin;
}

std::vector<double> naive_rope(const Floats& x, int32_t n_heads, int32_t head_dim,
                               const Floats& cos_sin, RopePairing pairing) {
  std::vector<double> out(x.begin(), x.end());
  const auto d = static_cast<size_t>(head_dim), half = d / 2;
  for (size_t base = 0; base < x.size(); base += d) {
    const float* row = cos_sin.data() + base / (static_cast<size_t>(n_heads) * d) * d;
    for (size_t i = 0; i < half; ++i) {
      const bool halves = pairing == RopePairing::kHalves;
      const size_t first = base + (halves ? i : 2 * i);
      const size_t second = base + (halves ? i + half : 2 * i + 1);
      const double cosine = double{row[i]}, sine = double{row[half + i]};
      out[first] = double{x[first]} * cosine - double{x[second]} * sine;
      out[second] = double{x[second]} * cosine + double{x[first]} * sine;
    }
  }
  return out;
}

TEST_P(PointwiseTest, RopeTurnsPairs) {
  for (RopePairing pairing : {RopePairing::kInterleaved, RopePairing::kHalves}) {
    for (int32_t head_dim : {8, 64, 72, 80, 96, 128, 256}) {
      for (int32_t n_heads : {1, 3, 8}) {
        for (int64_t n_rows : {1, 2, 17}) {
          const auto width = static_cast<size_t>(n_heads * head_dim);
          const Floats x = random_normal(width * static_cast<size_t>(n_rows), 5);
          const Floats cos_sin = random_rotations(n_rows, head_dim);
          const auto backend =
              make({.max_rows = n_rows, .n_heads = n_heads, .head_dim = head_dim}, 3);
          const auto single = make({.max_rows = 1, .n_heads = n_heads, .head_dim = head_dim});
          Floats out = x, alone = x;
          backend->rope(out.data(), n_rows, n_heads, head_dim, cos_sin.data(), pairing);
          EXPECT_LE(relative_error(out, naive_rope(x, n_heads, head_dim, cos_sin, pairing)),
                    kTolerance)
              << head_dim << " wide, " << n_heads << " heads, " << n_rows << " rows";
          for (int64_t r = 0; r < n_rows; ++r) {
            single->rope(alone.data() + r * static_cast<int64_t>(width), 1, n_heads, head_dim,
                         cos_sin.data() + r * head_dim, pairing);
          }
          EXPECT_SAME_BITS(alone, out) << "row by row, " << head_dim << " wide";
        }
      }
    }
  }
}

TEST_P(PointwiseTest, SwigluEqualsTheDefinition) {
  for (size_t n : {1, 7, 8, 31, 1536, 5000}) {
    const Floats gate = random_normal(n, 6, 4.0f), up = random_normal(n, 7);
    std::vector<double> expected(n);
    for (size_t i = 0; i < n; ++i) {
      expected[i] = double{gate[i]} / (1.0 + std::exp(-double{gate[i]})) * double{up[i]};
    }
    Floats one_thread;
    for (int n_threads : kThreadCounts) {
      Floats out = gate;
      const auto backend = make({.max_rows = 1, .max_features = 5000}, n_threads);
      backend->swiglu(out.data(), up.data(), static_cast<int64_t>(n));
      EXPECT_LE(relative_error(out, expected), kTolerance) << n << " elements";
      if (n_threads == 1) one_thread = out;
      EXPECT_SAME_BITS(out, one_thread) << n << " elements, " << n_threads << " threads";
    }
  }
}

// An element's bits do not depend on its place in the array.
TEST_P(PointwiseTest, SwigluTreatsEveryElementAlike) {
  constexpr size_t kCount = 77;
  const Floats up(kCount, 0.3f);
  for (float value : {-3.7f, 0.11f, 5.9f}) {
    Floats out(kCount, value);
    make({})->swiglu(out.data(), up.data(), kCount);
    EXPECT_SAME_BITS(out, Floats(kCount, out[0]));
  }
}

TEST_P(PointwiseTest, SwigluStandsExtremeGates) {
  Floats gate = {-1e30f, -1e4f, -100.0f, -0.0f, 0.0f, 100.0f, 1e4f, 1e30f};
  const Floats up(gate.size(), 1.0f);
  const Floats expected = {0.0f, 0.0f, -100.0f * std::exp(-100.0f), 0.0f, 0.0f, 100.0f,
                           1e4f, 1e30f};
  make({})->swiglu(gate.data(), up.data(), static_cast<int64_t>(gate.size()));
  for (size_t i = 0; i < gate.size(); ++i) EXPECT_NEAR(gate[i], expected[i], 1e-20f) << i;
}

}  // namespace
}  // namespace tidal::test
