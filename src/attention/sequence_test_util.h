// TestSequence: for tests, a sequence of several layers with known, repeatable K, V and queries.
//
// Every element is a small multiple of 1/4, exact in every cache type, and q·k is exact in float32
// in any order: scores of all back ends are equal, ties are frequent, and picks can be compared.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "attention/method.h"
#include "attention/runner.h"
#include "kv/sequence_kv.h"
#include "testing/poison/poison_backend.h"

namespace tidal::test {

struct TestShape {
  int32_t n_layers = 6;
  int32_t n_heads = 6;
  int32_t n_kv_heads = 2;
  int32_t head_dim = 16;
  DType k_dtype = DType::kF16;
  DType v_dtype = DType::kF16;
};

enum Plane : uint64_t { kPlaneK, kPlaneV, kPlaneQ };

// In [-2, 2], a multiple of 1/4.
inline float test_value(Plane plane, uint64_t seed, int32_t layer, int64_t position,
                        int64_t index) {
  uint64_t x = plane;
  for (const uint64_t part : {seed, static_cast<uint64_t>(layer), static_cast<uint64_t>(position),
                              static_cast<uint64_t>(index)}) {
    x = (x ^ part) * 0x9e3779b97f4a7c15u;
    x ^= x >> 29;
  }
  x *= 0xbf58476d1ce4e5b9u;
  return static_cast<float>(static_cast<int>((x >> 33) % 17) - 8) / 4;
}

class TestSequence {
 public:
  TestSequence(const TestShape& shape, std::shared_ptr<const AttentionMethod> method,
               int64_t max_length, Memory& memory = host_memory())
      : shape_(shape),
        method_(std::move(method)),
        pool_(std::make_shared<PagePool>(KvLayout{shape.n_layers, shape.n_kv_heads, shape.head_dim,
                                                  shape.k_dtype, shape.v_dtype},
                                         kSequences * pages_of(max_length), memory)),
        kv_(*pool_, max_length),
        state_(new_state(*method_)),
        q_(heads_width() * sizeof(float), memory),
        attended_(heads_width() * sizeof(float), memory),
        out_(heads_width()) {}

  // Another sequence with the same rows, and with a copy of what the method carries or a new state.
  TestSequence fork() const { return TestSequence(*this, method_, state_.clone()); }
  TestSequence fork(const std::shared_ptr<const AttentionMethod>& method) const {
    return TestSequence(*this, method, new_state(*method));
  }

  const TestShape& shape() const { return shape_; }
  const AttentionMethod& method() const { return *method_; }
  int64_t length() const { return kv_.length(); }
  AttentionState& state() { return state_; }
  KvView view(int32_t layer) const { return kv_.view(layer); }

  void append(int64_t n_rows, uint64_t seed = 1) {
    const int64_t first = kv_.length();
    TIDAL_CHECK(kv_.grow(n_rows));
    const int64_t width = int64_t{shape_.n_kv_heads} * shape_.head_dim;
    std::vector<float> row(static_cast<size_t>(width));
    std::vector<float> rows;  // of a page, which are contiguous
    const auto append_rows = [&](Plane plane, const KvPlane& to, int32_t layer, int64_t position,
                                 int64_t end) {
      rows.clear();
      for (int64_t p = position; p < end; ++p) {
        fill(plane, seed, layer, p, row);
        rows.insert(rows.end(), row.begin(), row.end());
      }
      write(to.dtype, rows, kv_.view(layer).row(to, position));
    };
    for (int32_t layer = 0; layer < shape_.n_layers; ++layer) {
      const KvView kv = kv_.view(layer);
      for (int64_t position = first; position < first + n_rows;) {
        const int64_t page_end = (position / kPageRows + 1) * kPageRows;
        const int64_t end = std::min(first + n_rows, page_end);
        append_rows(kPlaneK, kv.k, layer, position, end);
        append_rows(kPlaneV, kv.v, layer, position, end);
        position = end;
      }
    }
  }

  void truncate(int64_t length) {
    kv_.truncate(length);
    state_.truncate(length);
  }

  // Sets all elements of one KV head of a row to `value`.
  void set(Plane plane, int32_t layer, int64_t position, int32_t kv_head, float value) {
    const std::vector<float> values(static_cast<size_t>(shape_.head_dim), value);
    store(plane, layer, position, kv_head, values);
  }
  void store(Plane plane, int32_t layer, int64_t position, int32_t kv_head,
             const std::vector<float>& values) {
    const KvView kv = kv_.view(layer);
    const KvPlane& target = plane == kPlaneK ? kv.k : kv.v;
    write(target.dtype, values, element(kv, target, position, kv_head));
  }
  std::vector<float> load(Plane plane, int32_t layer, int64_t position, int32_t kv_head) const {
    const KvView kv = kv_.view(layer);
    const KvPlane& source = plane == kPlaneK ? kv.k : kv.v;
    std::vector<float> values(static_cast<size_t>(shape_.head_dim));
    std::vector<std::byte> bytes(dtype_row_bytes(source.dtype, shape_.head_dim));
    pool_->memory().copy_out(bytes.data(), element(kv, source, position, kv_head), bytes.size());
    decode_row(source.dtype, bytes.data(), values.data(), shape_.head_dim);
    return values;
  }

  // The newest row's query in a layer: [n_heads, head_dim].
  std::vector<float> query(int32_t layer) const {
    std::vector<float> q(heads_width());
    fill(kPlaneQ, 1, layer, length() - 1, q);
    return q;
  }

  // The newest row as the runner expects it; q and out belong to this sequence.
  AttentionItem item(int32_t layer) {
    const std::vector<float> q = query(layer);
    std::copy(q.begin(), q.end(), q_.host<float>());
    q_.push(q_.size());
    AttentionItem item;
    item.q = q_.device<float>();
    item.out = attended_.device<float>();
    item.first_position = length() - 1;
    item.kv = kv_.view(layer);
    item.method = method_.get();
    item.state = &state_;
    return item;
  }
  const std::vector<float>& out() {
    attended_.pull(attended_.size());
    std::copy_n(attended_.host<float>(), out_.size(), out_.begin());
    return out_;
  }

  // Runs the newest row in one layer: [n_heads, head_dim].
  const std::vector<float>& run(AttentionRunner& runner, int32_t layer) {
    const AttentionItem items[] = {item(layer)};
    runner.run(layer, items);
    return out();
  }
  // In all layers: [n_layers] of these.
  std::vector<std::vector<float>> run(AttentionRunner& runner) {
    std::vector<std::vector<float>> outputs;
    for (int32_t layer = 0; layer < shape_.n_layers; ++layer) outputs.push_back(run(runner, layer));
    return outputs;
  }

 private:
  static constexpr int64_t kSequences = 4;  // sharing a pool

  TestSequence(const TestSequence& other, std::shared_ptr<const AttentionMethod> method,
               AttentionState state)
      : shape_(other.shape_),
        method_(std::move(method)),
        pool_(other.pool_),
        kv_(other.kv_.fork()),
        state_(std::move(state)),
        q_(other.q_.size(), pool_->memory()),
        attended_(other.attended_.size(), pool_->memory()),
        out_(heads_width()) {}

  AttentionState new_state(const AttentionMethod& method) const {
    return method.make_state(
        {shape_.n_layers, shape_.n_heads, shape_.n_kv_heads, shape_.head_dim, kv_.max_length()},
        *pool_);
  }
  size_t heads_width() const { return static_cast<size_t>(shape_.n_heads * shape_.head_dim); }

  void write(DType dtype, const std::vector<float>& values, std::byte* to) {
    std::vector<std::byte> bytes(dtype_row_bytes(dtype, std::ssize(values)));
    encode_row(dtype, values.data(), bytes.data(), std::ssize(values));
    pool_->memory().copy_in(to, bytes.data(), bytes.size());
  }
  static void fill(Plane plane, uint64_t seed, int32_t layer, int64_t position,
                   std::vector<float>& row) {
    for (size_t i = 0; i < row.size(); ++i) {
      row[i] = test_value(plane, seed, layer, position, static_cast<int64_t>(i));
    }
  }
  static std::byte* element(const KvView& kv, const KvPlane& plane, int64_t position,
                            int32_t kv_head) {
    return kv.row(plane, position) +
           static_cast<size_t>(kv_head) * dtype_row_bytes(plane.dtype, kv.head_dim);
  }

  TestShape shape_;
  std::shared_ptr<const AttentionMethod> method_;
  std::shared_ptr<PagePool> pool_;
  SequenceKv kv_;
  AttentionState state_;
  MirroredBuffer q_;         // [n_heads, head_dim]
  MirroredBuffer attended_;  // [n_heads, head_dim]
  std::vector<float> out_;   // [n_heads, head_dim]
};

}  // namespace tidal::test
