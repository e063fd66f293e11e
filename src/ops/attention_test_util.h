// Caches, and attention by definition, for the tests of every back end.
//
// A cache's pages are scattered over twice the memory they need, and everything that holds no row
// is NaN: a kernel that reads beyond the last row or from a wrong page is exposed.
#pragma once

#include <fmt/format.h>

#include <numeric>

#include "ops/backend_test_util.h"
#include "ops/selection_test_util.h"

namespace tidal::test {

struct HeadShape {
  int32_t n_heads = 1;
  int32_t n_kv_heads = 1;
  int32_t head_dim = 64;
  DType k_type = DType::kF16;
  DType v_type = DType::kF16;

  int32_t group() const { return n_heads / n_kv_heads; }
  int64_t q_width() const { return int64_t{n_heads} * head_dim; }
  int64_t kv_width() const { return int64_t{n_kv_heads} * head_dim; }
};

inline std::string describe(const HeadShape& shape) {
  return fmt::format("{} heads, {} kv, {} wide, {} {}", shape.n_heads, shape.n_kv_heads,
                     shape.head_dim, dtype_name(shape.k_type), dtype_name(shape.v_type));
}

// Every head size, grouping and cache type at least once.
inline const std::vector<HeadShape>& attention_shapes() {
  static const std::vector<HeadShape> shapes = {
      {2, 2, 8, DType::kF16, DType::kF16},    {9, 3, 64, DType::kF16, DType::kF16},
      {8, 2, 80, DType::kBF16, DType::kBF16}, {4, 4, 96, DType::kF32, DType::kF32},
      {8, 1, 128, DType::kF16, DType::kBF16}, {3, 1, 256, DType::kBF16, DType::kF16},
      {16, 2, 64, DType::kF32, DType::kF16},  {6, 2, 64, DType::kBF16, DType::kF32},
      {4, 1, 128, DType::kF16, DType::kF16},  {8, 2, 64, DType::kQ8_0, DType::kQ8_0},
      {9, 3, 96, DType::kQ8_0, DType::kF16},  {5, 1, 128, DType::kBF16, DType::kQ8_0},
  };
  return shapes;
}

inline BackendLimits limits_for(const HeadShape& shape, int64_t max_context,
                                int32_t max_sequences = 1, int64_t max_rows = 1) {
  return {.max_rows = std::max<int64_t>(max_rows, max_sequences),
          .max_features = shape.q_width(),
          .max_context = max_context,
          .max_sequences = max_sequences,
          .n_heads = shape.n_heads,
          .n_kv_heads = shape.n_kv_heads,
          .head_dim = shape.head_dim};
}

// K and V of one layer, random contents.
class TestCache {
 public:
  TestCache(const HeadShape& shape, int64_t length, uint32_t seed)
      : shape_(shape), length_(length) {
    const auto n_pages = static_cast<size_t>((length + kPageRows - 1) / kPageRows);
    std::vector<int32_t> pages(2 * n_pages + 1);
    std::iota(pages.begin(), pages.end(), 0);
    std::shuffle(pages.begin(), pages.end(), std::mt19937(seed));
    page_table_.assign(pages.begin(), pages.begin() + static_cast<int64_t>(n_pages));
    k_ = make_plane(shape.k_type, pages.size(), k_memory_);
    v_ = make_plane(shape.v_type, pages.size(), v_memory_);
    const auto width = static_cast<size_t>(shape.kv_width());
    const Floats values = random_normal(2 * width * static_cast<size_t>(length), seed);
    for (int64_t p = 0; p < length; ++p) {
      const float* row = values.data() + 2 * width * static_cast<size_t>(p);
      encode_row(shape.k_type, row, view().k_row(p), shape.kv_width());
      encode_row(shape.v_type, row + width, view().v_row(p), shape.kv_width());
    }
  }

  TestCache(TestCache&&) = default;  // moved vectors keep their memory, which the planes point to

  const HeadShape& shape() const { return shape_; }
  int64_t length() const { return length_; }

  KvView view() const { return view(length_); }
  KvView view(int64_t length) const {
    return {.k = k_,
            .v = v_,
            .n_kv_heads = shape_.n_kv_heads,
            .head_dim = shape_.head_dim,
            .length = length,
            .page_table = page_table_.data()};
  }

  // One KV head of one row, as rounded by the cache: [head_dim]
  std::vector<float> k(int64_t position, int32_t head) const { return read(k_, position, head); }
  std::vector<float> v(int64_t position, int32_t head) const { return read(v_, position, head); }

  // Sets all elements of one KV head of one row.
  void set_k(int64_t position, int32_t head, float value) { fill(k_, position, head, value); }
  void set_v(int64_t position, int32_t head, float value) { fill(v_, position, head, value); }
  void set(int64_t position, int32_t head, float value) {
    set_k(position, head, value);
    set_v(position, head, value);
  }

 private:
  KvPlane make_plane(DType type, size_t n_pages, std::vector<std::byte>& memory) const {
    constexpr size_t kGap = 64;  // pages of a plane need not be adjacent
    const size_t row_bytes = dtype_row_bytes(type, shape_.kv_width());
    const size_t page_bytes = kPageRows * row_bytes + kGap;
    memory.assign(n_pages * page_bytes, std::byte{0xff});  // NaN in all three types
    return {.dtype = type, .base = memory.data(), .page_bytes = page_bytes, .row_bytes = row_bytes};
  }

  std::byte* at(const KvPlane& plane, int64_t position, int32_t head) const {
    return view().row(plane, position) +
           static_cast<size_t>(head) * dtype_row_bytes(plane.dtype, shape_.head_dim);
  }

  std::vector<float> read(const KvPlane& plane, int64_t position, int32_t head) const {
    std::vector<float> out(static_cast<size_t>(shape_.head_dim));
    decode_row(plane.dtype, at(plane, position, head), out.data(), shape_.head_dim);
    return out;
  }

  void fill(const KvPlane& plane, int64_t position, int32_t head, float value) {
    const std::vector<float> values(static_cast<size_t>(shape_.head_dim), value);
    encode_row(plane.dtype, values.data(), at(plane, position, head), shape_.head_dim);
  }

  HeadShape shape_;
  int64_t length_;
  std::vector<int32_t> page_table_;
  std::vector<std::byte> k_memory_, v_memory_;
  KvPlane k_, v_;
};

// Attention of one query head, in double.
struct NaiveAttention {
  std::vector<double> out;     // [head_dim]
  std::vector<double> scores;  // [rows]
  double log_sum_exp = 0.0;
};

inline NaiveAttention naive_attention(const TestCache& cache, int32_t kv_head, const float* q,
                                      std::span<const int32_t> rows) {
  const auto head_dim = static_cast<size_t>(cache.shape().head_dim);
  NaiveAttention result;
  double largest = -1e300;
  for (int32_t row : rows) {
    const std::vector<float> k = cache.k(row, kv_head);
    double product = 0.0;
    for (size_t e = 0; e < head_dim; ++e) product += double{q[e]} * double{k[e]};
    result.scores.push_back(product / std::sqrt(static_cast<double>(head_dim)));
    largest = std::max(largest, result.scores.back());
  }
  double total = 0.0;
  for (double score : result.scores) total += std::exp(score - largest);
  result.log_sum_exp = largest + std::log(total);
  result.out.assign(head_dim, 0.0);
  for (size_t i = 0; i < rows.size(); ++i) {
    const std::vector<float> v = cache.v(rows[i], kv_head);
    const double weight = std::exp(result.scores[i] - result.log_sum_exp);
    for (size_t e = 0; e < head_dim; ++e) result.out[e] += weight * double{v[e]};
  }
  return result;
}

}  // namespace tidal::test
