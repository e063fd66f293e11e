// append on every back end: bit-exact rounding, into the right rows and no others.

#include "base/half.h"
#include "ops/attention_test_util.h"

namespace tidal::test {
namespace {

void round_row(DType type, std::vector<float>& row) {
  if (type == DType::kQ8_0) {
    std::vector<std::byte> encoded(dtype_row_bytes(type, static_cast<int64_t>(row.size())));
    encode_row(type, row.data(), encoded.data(), static_cast<int64_t>(row.size()));
    decode_row(type, encoded.data(), row.data(), static_cast<int64_t>(row.size()));
  }
  for (float& value : row) {
    if (type == DType::kF16) value = f16_to_float(float_to_f16(value));
    if (type == DType::kBF16) value = bf16_to_float(float_to_bf16(value));
  }
}

// Random values, including ones that are hard to round. In a block of q8_0: multiples of half its
// scale.
Floats hard_values(DType type, size_t n, uint32_t seed) {
  Floats values = random_normal(n, seed);
  if (type == DType::kQ8_0) {
    for (size_t i = 0; i + 32 <= n; i += 64) {
      for (size_t j = 0; j < 32; ++j) values[i + j] = (static_cast<float>(j) - 15.5f) / 8;
      values[i] = i % 128 == 0 ? 127.0f / 8 : -127.0f / 8;
    }
    std::fill_n(values.begin() + 32, 32, 0.0f);
    return values;
  }
  const float hard[] = {0.0f,     -0.0f,    65504.0f, 65519.9f, 65520.0f, -1e6f,    6.1e-5f,
                        5.96e-8f, 2.98e-8f, 2.9e-8f,  1e-30f,   1e-45f,   3e38f,    1.00048828f,
                        1.00146f, 2049.0f,  2051.0f,  -2049.0f, INFINITY, -INFINITY};
  for (size_t i = 0; i < std::size(hard); ++i) values[(i * 37 + seed) % n] = hard[i];
  return values;
}

struct Rows {
  TestCache* cache;
  int64_t first;
  int64_t count;
  Floats k, v;

  Rows(TestCache& test_cache, int64_t position, int64_t n_rows, uint32_t seed)
      : cache(&test_cache), first(position), count(n_rows) {
    const auto n = static_cast<size_t>(n_rows * cache->shape().kv_width());
    k = hard_values(cache->shape().k_type, n, seed);
    v = hard_values(cache->shape().v_type, n, seed + 1);
  }
  AppendItem item() const {
    return {.k = k.data(),
            .v = v.data(),
            .n_rows = count,
            .first_position = first,
            .kv = cache->view(first + count)};
  }
};

void expect_rows(const Rows& rows) {
  const HeadShape& shape = rows.cache->shape();
  const auto head_dim = static_cast<size_t>(shape.head_dim);
  const float* k = rows.k.data();
  const float* v = rows.v.data();
  for (int64_t r = 0; r < rows.count; ++r) {
    for (int32_t head = 0; head < shape.n_kv_heads; ++head) {
      std::vector<float> expected_k(k, k + head_dim), expected_v(v, v + head_dim);
      round_row(shape.k_type, expected_k);
      round_row(shape.v_type, expected_v);
      ASSERT_SAME_BITS(rows.cache->k(rows.first + r, head), expected_k)
          << describe(shape) << ", row " << rows.first + r;
      ASSERT_SAME_BITS(rows.cache->v(rows.first + r, head), expected_v)
          << describe(shape) << ", row " << rows.first + r;
      k += head_dim;
      v += head_dim;
    }
  }
}

class AppendTest : public BackendTest {};
TIDAL_FOR_EVERY_BACKEND(AppendTest);

TEST_P(AppendTest, RoundsIntoItsRowsOnly) {
  for (const HeadShape& shape : attention_shapes()) {
    const auto backend = make(limits_for(shape, 100, 1, 60));
    for (auto [first, count] :
         {std::pair{0, 1}, {15, 1}, {16, 1}, {14, 4}, {0, 60}, {33, 47}, {99, 1}}) {
      TestCache cache(shape, 100, 1);
      const TestCache before(shape, 100, 1);
      const Rows rows(cache, first, count, 2);
      const AppendItem item = rows.item();
      backend->append({&item, 1});
      expect_rows(rows);
      for (int64_t p = 0; p < 100; ++p) {
        if (p >= first && p < first + count) continue;
        for (int32_t head = 0; head < shape.n_kv_heads; ++head) {
          ASSERT_SAME_BITS(cache.k(p, head), before.k(p, head)) << "row " << p;
          ASSERT_SAME_BITS(cache.v(p, head), before.v(p, head)) << "row " << p;
        }
      }
    }
  }
}

TEST_P(AppendTest, FillsManySequencesInOneCall) {
  for (const HeadShape& shape : attention_shapes()) {
    for (int n_threads : kThreadCounts) {
      std::vector<TestCache> caches;
      for (uint32_t i = 0; i < 6; ++i) caches.emplace_back(shape, 70, i);
      std::vector<Rows> rows;
      std::vector<AppendItem> items;
      for (uint32_t i = 0; i < 6; ++i) rows.emplace_back(caches[i], i * 7, 1 + i % 3 * 14, i);
      for (const Rows& some : rows) items.push_back(some.item());
      make(limits_for(shape, 70, 6, 90), n_threads)->append(items);
      for (const Rows& some : rows) expect_rows(some);
    }
  }
}

}  // namespace
}  // namespace tidal::test
